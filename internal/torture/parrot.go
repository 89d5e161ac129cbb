package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"openmediator/csp"
)

// parrot stands for the chat server. It sends back whatever it gets, so that a device gets what it has sent, unit by unit,
// until what the first unit says comes to pass.
type parrot struct {
	// fixed
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil when it is to end
}

func newParrot() (*parrot, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &parrot{listener: l, conns: make(map[net.Conn]bool)}
	p.running.Go(p.accept)
	return p, nil
}

func (p *parrot) address() string { return p.listener.Addr().String() }

func (p *parrot) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.keep(conn) {
			conn.Close()
			return
		}
		p.running.Go(func() {
			defer p.forget(conn)
			repeat(conn)
		})
	}
}

func (p *parrot) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	p.conns[conn] = true
	return true
}

func (p *parrot) forget(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *parrot) close() {
	p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.running.Wait()
}

// chatPlan is what becomes of a connection to the chat server.
type chatPlan byte

const (
	repeats    chatPlan = iota // it lasts as long as the device's
	rests                      // reads nothing for a while, now and then
	hangsUp                    // ends after some bytes
	exceeds                    // announces a unit after some bytes that fits into no message
	refuses                    // there is no connection: nobody listens
	isNotKnown                 // the device's server group has no chat server
	chatPlans
)

// order is what a device tells the parrot, in its first unit.
type order struct {
	plan  chatPlan
	limit uint32 // bytes that are repeated, if the plan has an end
}

func (o order) ends() bool { return o.plan == hangsUp || o.plan == exceeds }

// put writes the order into the first unit.
func (o order) put(unit []byte) {
	unit[0] = byte(o.plan)
	binary.LittleEndian.PutUint32(unit[1:], o.limit)
}

func orderIn(unit []byte) order {
	return order{chatPlan(unit[0]), binary.LittleEndian.Uint32(unit[1:])}
}

// repeat does as it is told by the first unit, and reads until the other side has closed, so that nothing of what it has
// sent is lost.
func repeat(conn net.Conn) {
	first := make([]byte, csp.ServerHelloSize)
	if _, err := io.ReadFull(conn, first); err != nil {
		return
	}
	o := orderIn(first)
	var from io.Reader = io.MultiReader(bytes.NewReader(first), conn)
	switch o.plan {
	case rests:
		from = &sleepy{from}
	case hangsUp, exceeds:
		from = io.LimitReader(from, int64(o.limit))
	}
	if _, err := io.Copy(conn, from); err != nil || !o.ends() {
		return
	}
	if o.plan == exceeds {
		conn.Write([]byte{0xff, 0xff})
	} else {
		conn.(*net.TCPConn).CloseWrite()
	}
	io.Copy(io.Discard, conn)
}

// sleepy is a reader that rests before some reads.
type sleepy struct{ io.Reader }

// Read implements io.Reader.
func (s *sleepy) Read(p []byte) (int, error) {
	if rand.IntN(8) == 0 {
		time.Sleep(rand.N(2 * time.Second))
	}
	return s.Reader.Read(p)
}
