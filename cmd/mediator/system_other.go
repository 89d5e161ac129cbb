//go:build !(linux || darwin || freebsd)

package main

import "os"

// lockFile opens a file and does not lock it: here it is up to the user to run one command per device at a time.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

// syncDirectory does nothing where directories cannot be synced.
func syncDirectory(string) error { return nil }

// readInBackground does nothing where there are no jobs.
func readInBackground() {}
