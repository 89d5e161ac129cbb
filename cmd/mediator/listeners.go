package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// openListeners opens all addresses, or none.
func (s *settings) openListeners() (listeners []net.Listener, err error) {
	passed, err := activation.ListenersWithNames() // it forgets them, so that no child takes them for its own
	if err != nil {
		return nil, fmt.Errorf("listen: the sockets that systemd passes cannot be used: %w", err)
	}
	defer func() {
		for _, unused := range passed {
			closeAll(unused)
		}
		if err != nil {
			closeAll(listeners)
		}
	}()
	for _, a := range s.listen {
		var some []net.Listener
		if a.network == "systemd" {
			some, err = a.take(passed, s.allowPlaintext)
		} else {
			some, err = a.openOne(s.unixMode)
		}
		for _, l := range some {
			if a.secure {
				l = secureListener{l}
			}
			listeners = append(listeners, l)
		}
		if err != nil {
			return nil, err
		}
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// openOne opens an address of this program's own.
func (a address) openOne(mode fs.FileMode) ([]net.Listener, error) {
	l, err := a.open()
	if err != nil {
		return nil, err
	}
	if a.network == "unix" && mode != 0 {
		if err := os.Chmod(a.name, mode); err != nil {
			l.Close()
			return nil, fmt.Errorf("unix-mode: permissions of %s cannot be set: %w", a.name, reason(err))
		}
	}
	return []net.Listener{l}, nil
}

// take takes the sockets of an address from those that systemd has passed.
func (a address) take(passed map[string][]net.Listener, allowPlaintext bool) (taken []net.Listener, err error) {
	var names []string
	for name := range passed {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if a.name == "" || a.name == name {
			taken = append(taken, passed[name]...)
			delete(passed, name)
		}
	}
	switch {
	case len(taken) == 0 && len(names) == 0:
		return nil, fmt.Errorf("listen: %v: systemd has passed no socket; start the server by a .socket unit, or name another "+
			"address with --listen", a)
	case len(taken) == 0:
		return nil, fmt.Errorf("listen: %v: systemd has passed no socket of this name, but %s; name it by FileDescriptorName= in "+
			"the .socket unit", a, strings.Join(names, ", "))
	}
	for _, l := range taken {
		at := opened(l)
		at.secure = a.secure
		if err := at.checkReach(l.Addr(), allowPlaintext); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// parseMode reads permissions; 0 if there is no text.
func parseMode(text string) (fs.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode == 0 || mode > 0o777 {
		return 0, fmt.Errorf("%q is not permissions such as 0660, octal", text)
	}
	return fs.FileMode(mode), nil
}
