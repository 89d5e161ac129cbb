//go:build !(linux || darwin || freebsd)

package boltstore

import (
	"math"
	"os"
)

// lockFile leaves it to bbolt's lock on the file to keep a second server off.
func lockFile(*os.File) error { return nil }

// unlockFile leaves it to closing to give the lock of a file back.
func unlockFile(*os.File) {}

// fileSystemSize returns 0: not known.
func fileSystemSize(string) (int64, error) { return 0, nil }

// freeSpace takes it that there is room: what a write says decides.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }

// mayWrite leaves it to Open to find out.
func mayWrite(string) error { return nil }
