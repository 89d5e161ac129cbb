package load

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A load that was ended waits for no chat server, and for nothing behind that.
func TestHandshakeRespectsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &proxying{fleet: new(Server).newFleet(ctx)}
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		c := &conn{Conn: near, in: make([]byte, smallBuffer)}
		if err := p.adopt(c); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		began := time.Now()
		if err := p.handshake(c, askEcho); err == nil || time.Since(began) > 0 {
			t.Errorf("handshake: %v after %v", err, time.Since(began))
		}
		if err := c.fill(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 0 {
			t.Errorf("afterwards: %v after %v", err, time.Since(began))
		}
	})
}
