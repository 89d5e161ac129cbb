//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"math"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

var errLocked = errors.New(`is in use by another "mediator device"; end that first ` +
	`(a listen takes lines to reflect on its standard input)`)

// lockFile locks a file for this process until it is closed. The file stays: whoever removed it could take it from under
// another process.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = file.Chmod(0o600)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		file.Close()
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	return file, err
}

// mayWrite says why this process may not make files in a directory.
func mayWrite(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }

// openFiles returns how many files this process may have open. The Go runtime has raised that to what it may be raised to.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt64
	}
	return uint64(limit.Cur)
}

// readInBackground makes reading from a terminal in the background an error. Otherwise it would stop the process.
func readInBackground() { signal.Ignore(unix.SIGTTIN) }
