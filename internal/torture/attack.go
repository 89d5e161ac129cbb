package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"openmediator/d2m"
)

const (
	// attackPeriod is how long the attackers rest, and how long they are at it.
	attackPeriod = 10 * time.Second

	// attackPause is between two tries of one attacker.
	attackPause = 200 * time.Millisecond
)

// attacked tells whether attackers were at it at a moment of a run.
func (t *tally) attacked(at time.Time) bool {
	return t.attackers && at.Sub(t.started)/attackPeriod%2 == 1
}

// attack has strangers do what they can, in every other period, until ctx ends.
func (r *run) attack(ctx context.Context) {
	for period := 1; ; period += 2 {
		begin := r.tally.started.Add(time.Duration(period) * attackPeriod)
		if !wait(ctx, time.Until(begin)) {
			return
		}
		under, cancel := context.WithDeadline(ctx, begin.Add(attackPeriod))
		var running sync.WaitGroup
		for i := range r.attackers {
			running.Go(func() { r.assail(under, assaults[i%len(assaults)]) })
		}
		running.Wait()
		cancel()
	}
}

// wait reports false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// assail does the same thing to the server again and again. Not all begin at the same moment.
func (r *run) assail(ctx context.Context, assault func(context.Context, net.Conn)) {
	pause := mathrand.N(10 * attackPause)
	for ; wait(ctx, pause); pause = attackPause/2 + mathrand.N(attackPause) {
		l := r.world.await(ctx)
		if l == nil {
			return
		}
		conn, err := net.DialTimeout("tcp", strings.TrimSuffix(strings.TrimPrefix(l.address, "ws://"), "/"), time.Second)
		if err != nil {
			continue
		}
		r.tally.assaults.Add(1)
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		assault(ctx, conn)
		stop()
		conn.Close()
	}
}

// assaults are what strangers do with a connection.
var assaults = []func(context.Context, net.Conn){
	// half a request, a byte at a time
	func(ctx context.Context, c net.Conn) {
		for _, b := range []byte(upgradeRequest()[:100]) {
			if _, err := c.Write([]byte{b}); err != nil || !wait(ctx, attackPause) {
				return
			}
		}
	},
	// an upgrade, and then silence
	func(_ context.Context, c net.Conn) {
		io.WriteString(c, upgradeRequest())
		io.Copy(io.Discard, c)
	},
	// more for the chat server than is held back
	func(_ context.Context, c net.Conn) {
		io.WriteString(c, upgradeRequest())
		for frame := clientFrame(d2m.Proxy{Data: make([]byte, 4000)}.Append(nil)); ; {
			if _, err := c.Write(frame); err != nil {
				return
			}
		}
	},
	// a login that is none
	func(_ context.Context, c net.Conn) {
		hello := make([]byte, 200)
		rand.Read(hello)
		io.WriteString(c, upgradeRequest())
		c.Write(clientFrame(append([]byte{byte(d2m.TypeClientHello), 0, 0, 0}, hello...)))
		io.Copy(io.Discard, c)
	},
	// comes and goes
	func(context.Context, net.Conn) {},
	// pings whose pongs are not read
	func(ctx context.Context, c net.Conn) {
		io.WriteString(c, upgradeRequest())
		pings := strings.Repeat("\x89\x80\x00\x00\x00\x00", 100)
		for wait(ctx, attackPause) {
			if _, err := io.WriteString(c, pings); err != nil {
				return
			}
		}
	},
}

// upgradeRequest is for a group that nobody has the key of.
func upgradeRequest() string {
	var group d2m.GroupID
	rand.Read(group[:])
	return "GET /" + d2m.ClientURLInfo{GroupID: group, ServerGroup: "0"}.Segment() + " HTTP/1.1\r\nHost: server\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
}

// clientFrame is a binary frame of 126 to 65,535 bytes with a mask of zeroes.
func clientFrame(payload []byte) []byte {
	head := binary.BigEndian.AppendUint16([]byte{0x82, 0x80 | 126}, uint16(len(payload)))
	return append(append(head, 0, 0, 0, 0), payload...)
}
