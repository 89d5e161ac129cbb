package main

import (
	"context"
	"fmt"
	"os"

	"openmediator/bench/compare/frames"
	"openmediator/bench/compare/jetstream"
	"openmediator/bench/compare/process"
	"openmediator/bench/compare/proxy"
)

// peerWord is the first argument of this program when it is to be a peer in a process of its own.
const peerWord = "peer"

// peers are what comes as Go code and runs in a process of its own. The arguments follow the name of the peer.
var peers = map[string]func(arguments []string) error{
	"jetstream-always":  func(a []string) error { return jetstream.Serve(a[0], a[1], true) },
	"copy":              func(a []string) error { return proxy.ServeCopy(a[0], a[1], true) },
	"copy-buffer":       func(a []string) error { return proxy.ServeCopy(a[0], a[1], false) },
	"chisel":            func(a []string) error { return proxy.ServeChisel(a[0], a[1]) },
	"jetstream-default": func(a []string) error { return jetstream.Serve(a[0], a[1], false) },
}

func init() {
	for name, serve := range frames.Servers {
		peers[name] = func(a []string) error { return serve(a[0]) }
	}
}

// servePeer is a peer until it is told to end.
func servePeer(name string, arguments []string) error {
	serve, ok := peers[name]
	if !ok {
		return fmt.Errorf("peer %q: there is none of that name", name)
	}
	return serve(arguments)
}

// startPeer starts a peer, whose first argument is the address where it listens.
func startPeer(ctx context.Context, name string, arguments ...string) (server *process.Server, address string, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	if address, err = process.FreeAddress(); err != nil {
		return nil, "", err
	}
	server, err = process.Start(ctx, address, append([]string{program, peerWord, name, address}, arguments...)...)
	return server, address, err
}
