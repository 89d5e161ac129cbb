// Package acmetest has a mediator get its certificate from a real ACME server: Pebble, of Let's Encrypt. It is a module of its
// own, so that what Pebble needs is not among what the mediator needs.
package acmetest
