package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// maxSocketPath is how long the path of a unix socket may be here, bytes.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// checkSocketPath says why a path cannot be that of a socket.
func checkSocketPath(path string) error {
	switch {
	case path == "":
		return errors.New("has no path")
	case len(path) > maxSocketPath:
		return fmt.Errorf("has a path of %d bytes, and that of a socket may have %d; choose a shorter one", len(path), maxSocketPath)
	}
	return nil
}

var (
	errNoSocket = errors.New("is there and is no socket")

	// errNoDirectory is none at the start if somebody makes it until then.
	errNoDirectory = errors.New("its directory is not there (systemd makes it if RuntimeDirectory= names it)")
)

// checkSocket says why no socket can be opened at a path: errInUse, errNoSocket, errNoDirectory, or that this process may not. A
// socket that a server has left behind is no reason, and stays.
func checkSocket(path string) error {
	if answers(path) {
		return errInUse
	}
	if strings.HasPrefix(path, "@") { // on Linux it stands in no directory
		return nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return errNoSocket
	}
	switch err := mayWrite(filepath.Dir(path)); {
	case errors.Is(err, fs.ErrNotExist):
		return errNoDirectory
	case err != nil:
		return fmt.Errorf("its directory: %w", err)
	}
	return nil
}

// answers says whether somebody accepts connections on a unix socket.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
