package admin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/net/netutil"
)

// SocketName is the socket's name in the data directory.
const SocketName = "control.sock"

const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second // header included
	answerTimeout  = time.Minute
	idleTimeout    = 10 * time.Second
	maxHeader      = 8 << 10
	maxConnections = 16
)

// Socket is the listener of the API. Close removes it from the directory.
type Socket struct {
	net.Listener
	path string
}

// Listen opens the socket in a data directory, in place of one that a server left behind. The caller must have the directory
// for itself, which makes any other socket a stale one. The error is one sentence for the operator.
func Listen(dir string) (*Socket, error) {
	s, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", filepath.Join(dir, SocketName), plain(err))
	}
	return s, nil
}

// listen makes the socket in a directory that nobody else may enter, and moves it only when its mode is right.
func listen(dir string) (*Socket, error) {
	path := filepath.Join(dir, SocketName)
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, errors.New("is there and is no socket; move it away")
	}
	making, err := os.MkdirTemp(dir, ".control-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(making)
	l, err := listenIn(making)
	if err != nil {
		return nil, err
	}
	made := filepath.Join(making, SocketName)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		l.Close()
		return nil, err
	}
	return &Socket{netutil.LimitListener(l, maxConnections), path}, nil
}

// listenIn opens the socket in a directory whose path may be longer than a socket's may be.
func listenIn(dir string) (net.Listener, error) {
	short, release, err := shorten(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	l, err := net.Listen("unix", filepath.Join(short, SocketName))
	if err == nil {
		l.(*net.UnixListener).SetUnlinkOnClose(false) // it is moved
	}
	return l, err
}

// Close ends the listener and removes the socket.
func (s *Socket) Close() error {
	err := s.Listener.Close()
	if removed := os.Remove(s.path); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		return errors.Join(err, removed)
	}
	return err
}

// NewServer returns an HTTP server for a handler with the limits that a private listener has.
func NewServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0),
		Protocols:         protocols,
	}
}

// plain strips the repetition of the path from an error.
func plain(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
