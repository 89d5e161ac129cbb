package main

import (
	"sync"
	"sync/atomic"

	"openmediator/access"
	"openmediator/admin"
	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/reflect"
)

// serveControl serves the private API on the socket in the data directory until stop. Without a directory there is none.
func serveControl(dir string, store reflect.Store, server *mediator.Server, who *access.Access, current *atomic.Pointer[settings]) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	socket, err := admin.Listen(dir)
	if err != nil {
		return nil, err
	}
	private := admin.NewServer(admin.Handler(admin.Options{
		Server:  server,
		Verdict: func(group d2m.GroupID) string { return who.List().Verdict(group).String() },
		Known:   func() (admin.Knowledge, error) { return current.Load().known(server, who) },
		Data:    keeperOf(dir, store),
	}))
	var running sync.WaitGroup
	running.Go(func() { _ = private.Serve(socket) }) // ends by Close
	return func() {
		private.Close()
		running.Wait()
	}, nil
}
