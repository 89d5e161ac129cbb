package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"openmediator/admin"
)

// adminAddress is where the private side is served besides the control socket. The zero value is nowhere.
type adminAddress struct {
	network string // tcp or unix
	name    string // HOST:PORT, or the path of the socket
}

// String returns an address as the log shows it.
func (a adminAddress) String() string {
	if a.network == "unix" {
		return "unix:" + a.name
	}
	return "http://" + a.name
}

func parseAdminAddress(text string) (adminAddress, error) {
	if text == "" {
		return adminAddress{}, nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if err := checkSocketPath(path); err != nil {
			return adminAddress{}, fmt.Errorf("%q %w", text, err)
		}
		return adminAddress{"unix", path}, nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(text, "http://"), "/")
	if _, port, err := net.SplitHostPort(name); err != nil || port == "" || strings.Contains(name, "/") {
		return adminAddress{}, fmt.Errorf("%q is not HOST:PORT or unix:PATH", text)
	}
	return adminAddress{"tcp", name}, nil
}

// resolve looks a host name up, and refuses what other machines reach unless that is allowed.
func (a adminAddress) resolve(allowPlaintext bool) (adminAddress, error) {
	if a.network != "tcp" {
		return a, nil
	}
	tcp, err := lookUp(a.name)
	if err != nil {
		return a, usage("admin-listen: %s cannot be resolved: %v", a.name, err)
	}
	if !tcp.IP.IsLoopback() && !allowPlaintext {
		return a, usage("admin-listen: %s can be reached from other machines, and connections are not encrypted: listen on "+
			"127.0.0.1, or add --admin-allow-plaintext if nobody else is in that network", a.name)
	}
	return adminAddress{"tcp", tcp.String()}, nil
}

// open listens on an address that has been resolved.
func (a adminAddress) open() (l net.Listener, err error) {
	if a.network == "unix" {
		l, err = admin.ListenUnix(a.name)
	} else {
		l, err = admin.ListenTCP(a.name)
	}
	if err != nil {
		return nil, a.notOpened(err)
	}
	return l, nil
}

func (a adminAddress) notOpened(err error) error {
	return fmt.Errorf("admin-listen: %s cannot be opened: %w; choose another address with --admin-listen", a.name, err)
}

// isFree says whether an address that has been resolved can be opened. A socket that a server has left behind stays.
func (a adminAddress) isFree() error {
	if a.network == "unix" {
		err := checkSocket(a.name)
		if err != nil && !errors.Is(err, errInUse) {
			err = a.notOpened(err)
		}
		return err
	}
	l, err := a.open()
	if errors.Is(err, syscall.EADDRINUSE) {
		return errInUse
	}
	if err != nil {
		return err
	}
	return l.Close()
}

// checkAdminReach refuses an address that other machines reach, as far as nothing has to be looked up for it.
func (s *settings) checkAdminReach() error {
	if s.admin.network != "tcp" || !isLiteral(s.admin.name) {
		return nil
	}
	_, err := s.admin.resolve(s.adminPlaintext)
	return err
}

// checkAdmin looks whether the private side can be served as set.
func checkAdmin(_ context.Context, i *inspection) []finding {
	a := i.admin
	if a.network == "" {
		return found(resultOK, "the server is watched and managed through the socket in the data directory alone")
	}
	resolved, err := a.resolve(i.adminPlaintext)
	if err == nil {
		err = resolved.isFree()
	}
	switch {
	case errors.Is(err, errInUse) && i.running:
		return found(resultWarn, "%s is in use, probably by the server that uses the data directory", a.name)
	case errors.Is(err, errInUse):
		return found(resultFail, "%s is in use by another program: end that, or choose another address with --admin-listen", a.name)
	case errors.Is(err, errNoDirectory):
		return found(resultWarn, "%v", err)
	case err != nil:
		return found(resultFail, "%v", err)
	}
	dir, err := i.dataDirectory()
	if err == nil && a.network == "tcp" {
		_, err = admin.ReadToken(filepath.Join(dir, admin.TokenName))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found(resultFail, "%v", err)
	}
	return found(resultOK, "%s is free", a.name)
}
