package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// inPipe runs a test with a sendBuffer and the far end of its connection.
func inPipe(t *testing.T, test func(t *testing.T, b *sendBuffer, far net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		b := newSendBuffer(near)
		test(t, b, far)
		far.Close()
		b.abort()
		<-b.done
	})
}

func mustWrite(t *testing.T, b *sendBuffer, data []byte) {
	t.Helper()
	if n, err := b.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(data), n, err)
	}
}

func TestSendBufferCollectsWhileConnectionIsBusy(t *testing.T) {
	inPipe(t, func(t *testing.T, b *sendBuffer, far net.Conn) {
		mustWrite(t, b, []byte("a"))
		synctest.Wait() // now that one is being written
		for range 100 {
			mustWrite(t, b, []byte("bc"))
		}
		buffer := make([]byte, 1000)
		if n, err := far.Read(buffer); n != 1 || err != nil {
			t.Fatalf("first read: %d, %v", n, err)
		}
		if n, err := far.Read(buffer); n != 200 || err != nil || !bytes.Equal(buffer[:n], bytes.Repeat([]byte("bc"), 100)) {
			t.Errorf("second read: %d bytes, %v, want the other 200 in one piece", n, err)
		}
	})
}

func TestSendBufferIsBounded(t *testing.T) {
	inPipe(t, func(t *testing.T, b *sendBuffer, far net.Conn) {
		mustWrite(t, b, make([]byte, 1))
		synctest.Wait()
		if err := b.waitRoom(t.Context()); err != nil {
			t.Errorf("no room in an empty buffer: %v", err)
		}
		mustWrite(t, b, make([]byte, sendRoom))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.waitRoom(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("room in a full buffer: %v", err)
		}
		mustWrite(t, b, make([]byte, sendLimit-sendRoom))
		if _, err := b.Write([]byte{0}); !errors.Is(err, errSendLimit) {
			t.Errorf("Write beyond the limit: %v", err)
		}
		if err := b.waitRoom(t.Context()); !errors.Is(err, errSendLimit) {
			t.Errorf("room after the limit: %v", err)
		}
	})
}

func TestSendBufferRoomReturns(t *testing.T) {
	inPipe(t, func(t *testing.T, b *sendBuffer, far net.Conn) {
		mustWrite(t, b, make([]byte, 1))
		synctest.Wait()
		mustWrite(t, b, make([]byte, sendRoom))
		room := make(chan error)
		go func() { room <- b.waitRoom(t.Context()) }()
		synctest.Wait()
		go io.Copy(io.Discard, far)
		if err := <-room; err != nil {
			t.Error(err)
		}
	})
}

func TestSendBufferCloseSendsWhatWaits(t *testing.T) {
	inPipe(t, func(t *testing.T, b *sendBuffer, far net.Conn) {
		mustWrite(t, b, []byte("last words"))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
		if _, err := b.Read(make([]byte, 1)); err == nil {
			t.Error("Read after Close has succeeded")
		}
		got, err := io.ReadAll(far)
		if string(got) != "last words" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		<-b.done
	})
}

func TestSendBufferCloseDoesNotWaitForEver(t *testing.T) {
	inPipe(t, func(t *testing.T, b *sendBuffer, far net.Conn) {
		mustWrite(t, b, []byte("nobody reads"))
		synctest.Wait()
		before := time.Now()
		b.Close()
		// TLS would cut the rest by such a deadline.
		b.SetWriteDeadline(time.Now())
		b.SetDeadline(time.Now())
		<-b.done
		if took := time.Since(before); took != flushTimeout {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestSendBufferStalls(t *testing.T) {
	inPipe(t, func(t *testing.T, b *sendBuffer, far net.Conn) {
		mustWrite(t, b, []byte("nobody reads"))
		synctest.Wait()
		before := time.Now()
		mustWrite(t, b, make([]byte, sendRoom))
		if err := b.waitRoom(t.Context()); err == nil {
			t.Error("a stalled connection has room")
		}
		if took := time.Since(before); took != stallTimeout {
			t.Errorf("failed after %v", took)
		}
		// What the server said before is still there to be read.
		go far.Write([]byte("bye"))
		if n, err := b.Read(make([]byte, 10)); n != 3 || err != nil {
			t.Errorf("Read: %d, %v", n, err)
		}
	})
}
