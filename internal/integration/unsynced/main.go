//go:build integration

// Command unsynced is `mediator serve` over a store that syncs nothing: a server that acknowledges what a power cut would
// take away. A test of durability has to find that out.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"openmediator/mediator"
	"openmediator/reflect/boltstore"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve takes the arguments that package serverprocess gives.
func serve() (err error) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", "", "HOST:PORT")
	data := flags.String("data", "", "directory")
	if len(os.Args) < 2 || os.Args[1] != "serve" {
		return errors.New("usage: unsynced serve --listen HOST:PORT --data DIR")
	}
	if err := flags.Parse(os.Args[2:]); err != nil {
		return err
	}
	store, err := boltstore.OpenUnsynced(*data, boltstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	server, err := mediator.New(store, mediator.DefaultConfig())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	announcement := map[string]string{"message": "listening", "listen": "ws://" + listener.Addr().String()}
	if err := json.NewEncoder(os.Stderr).Encode(announcement); err != nil {
		return err
	}
	return server.Serve(listener)
}
