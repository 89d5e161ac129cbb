package main

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// lay returns both ends of a connection through a relay.
func lay(t *testing.T, on road) (device, server net.Conn) {
	t.Helper()
	r, err := newRelay()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if device, err = r.dial(context.Background(), listener.Addr().String(), on); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		device.Close()
		server.Close()
		r.close()
	})
	limit := time.Now().Add(30 * time.Second)
	device.SetDeadline(limit)
	server.SetDeadline(limit)
	return device, server
}

// passes writes to one end and reads at the other.
func passes(t *testing.T, to, from net.Conn) {
	t.Helper()
	sent, got := []byte("some bytes"), make([]byte, 10)
	if _, err := from.Write(sent); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, got); err != nil || string(got) != string(sent) {
		t.Fatalf("received %q, %v", got, err)
	}
}

func TestRelayDelays(t *testing.T) {
	device, server := lay(t, road{kind: delays, delay: 30 * time.Millisecond})
	began := time.Now()
	passes(t, server, device)
	passes(t, device, server)
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("there and back took %v", took)
	}
	device.Close()
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end of the device was seen as %v", err)
	}
}

func TestRelayCuts(t *testing.T) {
	for kind, want := range map[roadKind]error{cutByFIN: io.EOF, cutByReset: syscall.ECONNRESET} {
		device, server := lay(t, road{kind: kind, after: 50 * time.Millisecond})
		for name, end := range map[string]net.Conn{"device": device, "server": server} {
			if _, err := end.Read(make([]byte, 1)); !errors.Is(err, want) {
				t.Errorf("%s: the %s sees %v, want %v", roadNames[kind], name, err, want)
			}
		}
	}
}

func TestRelaySwallows(t *testing.T) {
	for kind, lost := range map[roadKind][2]bool{ // up, down
		swallowsUp: {true, false}, swallowsDown: {false, true}, swallowsBoth: {true, true},
	} {
		device, server := lay(t, road{kind: kind, after: time.Nanosecond})
		for i, way := range [][2]net.Conn{{server, device}, {device, server}} {
			if !lost[i] {
				passes(t, way[0], way[1])
				continue
			}
			if _, err := way[1].Write([]byte("into the void")); err != nil {
				t.Fatal(err)
			}
			way[0].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if n, err := way[0].Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
				t.Errorf("%s, way %d: received %d bytes, %v", roadNames[kind], i, n, err)
			}
		}
	}
}

// A device that goes without a word is a ghost for the server for a while.
func TestRelayKeepsAGhost(t *testing.T) {
	device, server := lay(t, road{kind: swallowsUp, after: time.Nanosecond})
	device.Close()
	server.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := server.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("the server sees %v", err)
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
