// Package integration has the tests that need more than Go: they look at the real server from outside with tools of the
// operating system. They have the build tag "integration" and run with
//
//	make integration
//
// which installs what they need and fails if it cannot. None of them skips.
package integration
