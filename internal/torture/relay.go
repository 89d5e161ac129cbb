package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relay stands between devices and the server and treats each connection as its road says.
type relay struct {
	listener net.Listener
	running  sync.WaitGroup

	mu sync.Mutex // held from a dial to its accept, so that the two ends are known to belong together
}

func newRelay() (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &relay{listener: listener}, nil
}

// close waits for the end of all connections, whose devices must be gone.
func (r *relay) close() {
	r.listener.Close()
	r.running.Wait()
}

// dial connects to the server by a road.
func (r *relay) dial(ctx context.Context, address string, on road) (net.Conn, error) {
	server, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	outer, inner, err := r.pair(ctx)
	if err != nil {
		server.Close()
		return nil, err
	}
	p := &passage{road: on, device: inner.(*net.TCPConn), server: server.(*net.TCPConn)}
	r.running.Go(p.run)
	return outer, nil
}

// pair makes a TCP connection and returns both ends.
func (r *relay) pair(ctx context.Context) (outer, inner net.Conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	outer, err = new(net.Dialer).DialContext(ctx, "tcp", r.listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	for {
		inner, err = r.listener.Accept()
		if err != nil {
			outer.Close()
			return nil, nil, err
		}
		if inner.RemoteAddr().String() == outer.LocalAddr().String() {
			return outer, inner, nil
		}
		inner.Close() // of a dial that was given up
	}
}

// passage is one connection through the relay.
type passage struct {
	road
	device, server *net.TCPConn
	isCut          atomic.Bool
}

// ghostTime is how long the server still has a connection whose device has gone without a word.
const ghostTime = 8 * time.Second

// run copies both ways until both ends are gone.
func (p *passage) run() {
	var cut *time.Timer
	if p.after > 0 && p.cuts() {
		cut = time.AfterFunc(p.after, p.cut)
		defer cut.Stop()
	}
	swallow := time.Now().Add(p.after)
	var copying sync.WaitGroup
	copying.Go(func() { p.copy(p.server, p.device, p.kind == swallowsUp || p.kind == swallowsBoth, swallow) })
	copying.Go(func() { p.copy(p.device, p.server, p.kind == swallowsDown || p.kind == swallowsBoth, swallow) })
	copying.Wait()
	p.device.Close()
	p.server.Close()
}

// cut ends both connections at once, by FIN or by RST.
func (p *passage) cut() {
	p.isCut.Store(true)
	if p.kind == cutByReset {
		p.device.SetLinger(0)
		p.server.SetLinger(0)
	}
	p.device.Close()
	p.server.Close()
}

// piece is what was read at once.
type piece struct {
	bytes []byte
	due   time.Time
}

// copy copies one direction until its source ends. Pieces wait for their delay, at most a few of them.
func (p *passage) copy(to, from *net.TCPConn, swallows bool, since time.Time) {
	pieces := make(chan piece, 16)
	var writing sync.WaitGroup
	writing.Go(func() {
		for piece := range pieces {
			if wait := time.Until(piece.due); wait > 0 {
				time.Sleep(wait)
			}
			if swallows && time.Now().After(since) {
				continue
			}
			if _, err := to.Write(piece.bytes); err != nil {
				from.Close() // nobody is there to read it
			}
		}
	})
	for {
		buffer := make([]byte, 8<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			pieces <- piece{buffer[:n], time.Now().Add(p.delay)}
		}
		if err != nil {
			close(pieces)
			writing.Wait()
			p.pass(to, from, swallows && time.Now().After(since))
			return
		}
	}
}

// pass hands the end of a connection on, or keeps it back for a while, where it looks to the other side as if nothing had
// happened.
func (p *passage) pass(to, from *net.TCPConn, swallows bool) {
	if swallows && from == p.device {
		time.AfterFunc(ghostTime, func() { to.Close() })
		io.Copy(io.Discard, from)
		return
	}
	if p.isCut.Load() {
		return
	}
	to.CloseWrite()
	if from == p.device {
		time.AfterFunc(ghostTime, func() { to.Close() })
	}
}
