//go:build unix

package nowait

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair returns both ends of a TCP connection.
func pair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// A peer that does not read is not waited for, and what was taken arrives.
func TestWriteTakesWhatThereIsRoomFor(t *testing.T) {
	near, far := pair(t)
	socket := Socket(near)
	var sent []byte
	piece := make([]byte, 100_001)
	for i := byte(0); ; i++ {
		for j := range piece {
			piece[j] = i + byte(j)
		}
		taken, err := Write(socket, piece)
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, piece[:taken]...)
		if taken < len(piece) {
			break
		}
	}
	if taken, err := Write(socket, piece); taken != 0 || err != nil {
		t.Errorf("a full socket takes %d bytes, %v", taken, err)
	}
	got := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(far)
		got <- data
	}()
	near.Close()
	if !bytes.Equal(<-got, sent) {
		t.Error("what arrives is not what was taken")
	}
}

func TestWriteErrors(t *testing.T) {
	near, far := pair(t)
	socket := Socket(near)
	near.SetWriteDeadline(time.Unix(1, 0))
	if _, err := Write(socket, []byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("behind the deadline: %v", err)
	}
	near.SetWriteDeadline(time.Time{})
	if taken, err := Write(socket, []byte("x")); taken != 1 || err != nil {
		t.Errorf("with the deadline taken back: %d bytes, %v", taken, err)
	}
	near.(*net.TCPConn).CloseWrite()
	if _, err := Write(socket, []byte("x")); err == nil {
		t.Error("no error behind the end of the stream")
	}
	near.Close()
	if _, err := Write(socket, []byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	far.Close()
}

func TestNoSocketTakesNothing(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if socket := Socket(near); socket != nil {
		t.Error("a pipe is a socket")
	}
	if taken, err := Write(nil, []byte("x")); taken != 0 || err != nil {
		t.Errorf("%d bytes, %v", taken, err)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	near, far := pair(t)
	go io.Copy(io.Discard, far)
	socket, data := Socket(near), make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() { Write(socket, data) }); n >= 1 {
		t.Errorf("Write allocates %v times", n)
	}
}
