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
	maxConnections = 32 // of one listener; the next ones wait in the kernel
)

// Socket is a unix socket that the private side is served on. Close removes it from its directory.
type Socket struct {
	net.Listener
	path string
}

// Listen opens the socket in a data directory, in place of one that a server left behind. The caller must have the directory
// for itself, which makes any other socket a stale one. The error is one sentence for the operator.
func Listen(dir string) (*Socket, error) {
	path := filepath.Join(dir, SocketName)
	s, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, plain(err))
	}
	return s, nil
}

// errAnswers says that a server listens on a socket.
var errAnswers = errors.New("is in use by another program")

// ListenUnix opens a socket at any path, for the owner of this process alone, in place of one that a server left behind.
func ListenUnix(path string) (*Socket, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, errAnswers
	}
	s, err := listen(path)
	return s, plain(err)
}

// listen makes the socket in a directory that nobody else may enter, and moves it only when its mode is right.
func listen(path string) (*Socket, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, errors.New("is there and is no socket; move it away")
	}
	making, err := os.MkdirTemp(filepath.Dir(path), ".control-*")
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

// ListenTCP opens a TCP address. Who is served there needs the token: see [Token.Require].
func ListenTCP(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, plain(err)
	}
	return netutil.LimitListener(l, maxConnections), nil
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

// plain strips the repetition of the path or address from an error.
func plain(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
