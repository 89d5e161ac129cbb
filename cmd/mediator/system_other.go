//go:build !(linux || darwin || freebsd)

package main

import (
	"math"
	"os"
)

// lockFile opens a file and does not lock it: here it is up to the user to run one command per device at a time.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

// mayWrite says why there is no directory to make files in.
func mayWrite(dir string) error {
	_, err := os.Stat(dir)
	return reason(err)
}

// openFiles knows no limit here.
func openFiles() uint64 { return math.MaxInt64 }

// readInBackground does nothing where there are no jobs.
func readInBackground() {}
