package proxy

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	chiselclient "github.com/jpillora/chisel/client"
	chiselserver "github.com/jpillora/chisel/server"
)

// ServeCopy is the simplest proxy there is: io.Copy in both directions. With splice the kernel moves the bytes, which
// io.Copy does by itself between TCP connections; without, they go through a buffer.
func ServeCopy(address, target string, splice bool) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		down, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			up, err := net.DialTimeout("tcp", target, patience)
			if err != nil {
				log.Print(err)
				down.Close()
				return
			}
			go transfer(up, down, splice)
			transfer(down, up, splice)
		}()
	}
}

// transfer copies until the end of either connection, and ends the other one.
func transfer(to, from net.Conn, splice bool) {
	defer to.Close()
	if splice {
		io.Copy(to, from)
		return
	}
	io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
}

// ServeChisel is chisel, server and client in one process: the client listens on address, and its tunnel, SSH in a
// WebSocket over loopback, ends at target.
func ServeChisel(address, target string) error {
	ctx := context.Background()
	server, err := chiselserver.NewServer(&chiselserver.Config{KeepAlive: time.Minute})
	if err != nil {
		return err
	}
	hub, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(hub.Addr().String())
	if err != nil {
		return err
	}
	if err := hub.Close(); err != nil { // chisel wants to listen itself
		return err
	}
	if err := server.StartContext(ctx, host, port); err != nil {
		return err
	}
	client, err := chiselclient.NewClient(&chiselclient.Config{
		Server: fmt.Sprintf("http://%s:%s", host, port), Remotes: []string{address + ":" + target}, KeepAlive: time.Minute,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	return client.Wait()
}
