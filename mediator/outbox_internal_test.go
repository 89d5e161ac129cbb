package mediator

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"openmediator/internal/listen"
)

// recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	bytes.Buffer
	writes int
}

func (r *recorder) Write(p []byte) (int, error) {
	r.writes++
	return r.Buffer.Write(p)
}

func (r *recorder) Read(p []byte) (int, error) { return r.Buffer.Read(p) }

// What is written while the writer works goes out with its flush, in one piece, and wakes nobody.
func TestB44_OutboxCollects(t *testing.T) {
	socket := new(recorder)
	stirred := 0
	o := newOutbox(socket, func() { stirred++ })
	o.Write([]byte("one "))
	if stirred != 1 || socket.writes != 0 {
		t.Errorf("stirred %d times, %d writes", stirred, socket.writes)
	}
	o.collect()
	o.Write([]byte("two "))
	o.append([]byte("three ")...)
	if err := o.flush(); err != nil || socket.String() != "one two three " || socket.writes != 1 || stirred != 1 {
		t.Errorf("%q in %d writes, stirred %d times, %v", socket.String(), socket.writes, stirred, err)
	}
	o.Write([]byte("four"))
	if stirred != 2 {
		t.Error("the writer is not woken after its flush")
	}
}

// The writer's messages go out as one frame each, none behind a Close frame.
func TestB45_OutboxSendsNothingBehindAClose(t *testing.T) {
	socket := new(recorder)
	o := newOutbox(socket, func() {})
	o.collect()
	if !o.sendFrames([]byte("onetwo"), []int{3, 6}) {
		t.Error("refused")
	}
	o.Write([]byte{closeFrame, 0})
	if o.sendFrames([]byte("three"), []int{5}) {
		t.Error("taken behind a Close frame")
	}
	o.flush()
	if got := socket.String(); got != "\x82\x03one\x82\x03two\x88\x00" {
		t.Errorf("got %q", got)
	}
}

// deadlines is a connection that tells when a read deadline is set.
type deadlines struct {
	recorder
	set func()
}

func (d *deadlines) SetReadDeadline(time.Time) error {
	d.set()
	return nil
}

// The deadline with which the library ends reading does not come after the one that the writer sets for the peer's Close
// frame: the writer cannot take over in between.
func TestB45_OutboxEndsReadingBeforeTheWriterTakesOver(t *testing.T) {
	socket := new(deadlines)
	o := newOutbox(socket, func() {})
	set := 0
	socket.set = func() {
		set++
		if o.mu.TryLock() {
			o.mu.Unlock()
			t.Error("the writer could take over before the deadline is set")
		}
	}
	o.Close()
	o.passThrough()
	o.Close()
	if set != 1 {
		t.Errorf("%d deadlines were set, want one, before the writer took over", set)
	}
}

func TestFrameHeader(t *testing.T) {
	for size, want := range map[int]string{
		0:       "\x82\x00",
		125:     "\x82\x7d",
		126:     "\x82\x7e\x00\x7e",
		1 << 16: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
		65535:   "\x82\x7e\xff\xff",
	} {
		if got := appendFrameHeader(nil, size); string(got) != want {
			t.Errorf("%d bytes: header %x, want %x", size, got, want)
		}
	}
}

// The Close frame goes straight to the socket, behind everything: an answer that came in last is not left behind (B45).
func TestB45_OutboxIsEmptyBeforeItIsPassed(t *testing.T) {
	socket := new(recorder)
	o := newOutbox(socket, func() {})
	o.Write([]byte("the answer to a Close "))
	if o.passThrough() {
		t.Error("passed while something waits")
	}
	o.flush()
	if !o.passThrough() {
		t.Error("not passed though nothing waits")
	}
	o.Write([]byte("the server's own"))
	if got := socket.String(); got != "the answer to a Close the server's own" {
		t.Errorf("got %q", got)
	}
}

// What the kernel does not take is kept, in order, with what is collected meanwhile.
func TestB38_OutboxKeepsWhatTheKernelDoesNotTake(t *testing.T) {
	l := listen.TCP(t)
	defer l.Close()
	near, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	o := newOutbox(newLink(near, time.Minute), func() {})
	if !o.tryFlush() {
		t.Error("something waits in an empty outbox")
	}
	var want []byte
	for i := byte(0); ; i++ {
		piece := bytes.Repeat([]byte{i}, 60_000)
		o.append(piece...)
		want = append(want, piece...)
		if !o.tryFlush() {
			break
		}
	}
	o.append([]byte("the last")...)
	if o.tryFlush() {
		t.Error("the kernel has taken what it had no room for")
	}
	if waiting, _ := o.state(); !waiting {
		t.Error("nothing waits any more")
	}
	got := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(far)
		got <- data
	}()
	if err := o.flush(); err != nil {
		t.Error(err)
	}
	near.Close()
	if !bytes.Equal(<-got, append(want, "the last"...)) {
		t.Error("what arrives is not what was collected")
	}
}
