// Package browsertest opens the admin page in a real browser, Debian's chromium, headless: of a real server with real devices.
// It is a module of its own, so that what drives the browser is not among what the mediator needs. Package browser below it
// starts the browser; command screenshots makes the pictures in docs/images.
package browsertest
