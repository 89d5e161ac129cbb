package devicegroup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

func tail(bytes int) func(*devicegroup.Config) {
	return func(c *devicegroup.Config) { c.TailBytes = bytes }
}

// text is an envelope of a size, told from others by n.
func text(n, size int) string {
	s := fmt.Sprintf("%06d ", n)
	return s + strings.Repeat("x", max(size-len(s), 0))
}

func TestB21_AStuckReaderDelaysNobody(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	for i := range 2000 {
		text := text(i, 1000)
		devices[0].reflects(text)
		s.commit()
		devices[0].receives("ReflectAck " + text)
		devices[2].receives(fmt.Sprintf("Reflected %d %s", i+1, text))
		if held := s.group.TailBytes(); held > s.config.TailBytes {
			t.Fatalf("%d bytes of what is stored are held in memory, want at most %d", held, s.config.TailBytes)
		}
	}
	if got := numbers(devices[1].takes()); len(got) != 2000 || !slices.IsSorted(got) {
		t.Errorf("the stuck device gets %d messages at last", len(got))
	}
	if s.fetched == 0 {
		t.Error("nothing was read from the store")
	}
}

func TestB21_WhatAllHaveBeenGivenIsNotHeldInMemory(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	devices[2].ends() // so that nothing is deleted
	for i := range 10 {
		devices[0].reflects(text(i, 1000))
	}
	s.commit()
	if s.group.TailBytes() < 10_000 {
		t.Error("what B is to be given is not held in memory")
	}
	s.settle()
	if held := s.group.TailBytes(); held != 0 {
		t.Errorf("%d bytes are held in memory, though all that are connected have them", held)
	}
}

func TestB21_AnswersThatAreNotTakenBlockTheReading(t *testing.T) {
	for _, test := range []struct {
		name string
		ask  func(a *device)
		size int // of the answer
	}{
		{"DevicesInfo", func(a *device) { a.sends(d2m.GetDevicesInfo{}) }, 100},
		{"DropDeviceAck", func(a *device) { a.drops("Z") }, 13},
		{"ReflectAck", func(a *device) { a.reflects(""); a.s.commit() }, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			asked := 0
			for ; !a.conn.Blocked() && asked < 100_000; asked++ {
				test.ask(a)
			}
			if got := asked * test.size; got < devicegroup.MaxUnsent || got > 2*devicegroup.MaxUnsent {
				t.Errorf("blocked after %d requests", asked)
			}
			if b.conn.Blocked() {
				t.Error("another connection is blocked, too")
			}
			answers := 0
			for _, r := range a.takes() {
				if r.message.Type() != d2m.TypeReflected {
					answers++
				}
			}
			if answers != asked || a.conn.Blocked() {
				t.Errorf("%d answers to %d requests, blocked %v", answers, asked, a.conn.Blocked())
			}
		})
	}
}

// Answers that wait for a commit count as well.
func TestB21_AnswersThatWaitForTheStoreBlockTheReading(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	a.sends(d2m.SetSharedDeviceData{})
	asked := 0
	for ; !a.conn.Blocked() && asked < 100_000; asked++ {
		a.sends(d2m.GetDevicesInfo{})
	}
	if asked == 100_000 {
		t.Fatal("never blocked")
	}
	s.commit()
	if got := len(of[d2m.DevicesInfo](a.takes())); got != asked || a.conn.Blocked() {
		t.Errorf("%d answers to %d requests, blocked %v", got, asked, a.conn.Blocked())
	}
}

func TestB21_ReflectsThatAreNotStoredBlockTheReading(t *testing.T) {
	for _, flags := range []uint16{0, d2m.FlagEphemeral} {
		for _, size := range []int{0, d2m.MaxEnvelopeSize} {
			s := newScene(t)
			a, b := s.pair()
			a.sends(d2m.SetSharedDeviceData{}) // ephemerals wait behind this
			sent := 0
			for ; !a.conn.Blocked() && sent < 100_000; sent++ {
				a.sends(d2m.Reflect{Flags: flags, Envelope: make([]byte, size)})
			}
			if sent == 100_000 || sent*size > 2*devicegroup.MaxUnstored {
				t.Errorf("flags %d: blocked after %d messages of %d bytes", flags, sent, size)
			}
			if b.conn.Blocked() {
				t.Error("another connection is blocked, too")
			}
			s.commit()
			a.takes()
			if a.conn.Blocked() {
				t.Errorf("flags %d: blocked, though nothing waits for the store", flags)
			}
		}
	}
}

func TestB21_EphemeralsBehindTheCursorAreBounded(t *testing.T) {
	const size = 1000
	s := newScene(t)
	devices := s.join("A", "B", "C")
	a, b, c := devices[0], devices[1], devices[2]
	for i := range 300 {
		a.sends(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: []byte(text(i, size))})
		s.commit()
		if got := numbers(c.takes()); len(got) != 1 || got[0] != d2m.ReflectedID(i+1) {
			t.Fatalf("C gets %v, want the ephemeral %d: it is not behind", got, i+1)
		}
	}
	a.reflects("stored")
	s.commit()
	got := numbers(b.takes())
	kept := len(got) - 1
	if held := kept * size; held > devicegroup.MaxEphemeral || held < devicegroup.MaxEphemeral*9/10 {
		t.Errorf("%d ephemerals of %d bytes were kept, want %d bytes at most", kept, size, devicegroup.MaxEphemeral)
	}
	if got[kept-1] != d2m.ReflectedID(kept) || got[kept] != 301 {
		t.Errorf("numbers %v: the first ephemerals should be kept, and what is stored", got)
	}
	if lost := s.noticed(devicegroup.EphemeralsLost); lost != 300-kept {
		t.Errorf("%d ephemerals were lost, %d noticed", 300-kept, lost)
	}
	a.reflectsEphemeral("typing")
	b.receives("Reflected 302 typing (ephemeral)") // it has caught up
}

// Whether a message comes from memory or from the store makes no difference to the device.
func TestB21_BodiesFromTheStore(t *testing.T) {
	var want string
	for _, kept := range []int{1 << 20, 0, 60, 200} {
		s := newScene(t, tail(kept))
		a, b := s.pair()
		for i := range 20 {
			a.reflects(text(i, 10*i))
			if i%3 == 0 {
				a.reflectsEphemeral(text(100+i, 5))
			}
			if i%4 == 3 {
				s.commit()
			}
		}
		all := b.takes()
		if got := fmt.Sprint(of[d2m.Reflected](all)); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%d bytes kept in memory: B gets\n%s\nwant\n%s", kept, got, want)
		}
		if s.fetched == 0 && kept == 0 || s.fetched > 0 && kept == 1<<20 || len(numbers(all)) != 27 {
			t.Errorf("%d bytes kept in memory: %d messages, %d from the store", kept, len(numbers(all)), s.fetched)
		}
	}
}

func TestB21_TrimForgetsTheOldest(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	for i := range 4 {
		a.reflects(text(i, 1000))
		s.commit()
	}
	before := s.group.TailBytes()
	s.group.Trim(before / 2)
	if held := s.group.TailBytes(); held > before/2 {
		t.Errorf("%d bytes are held, want at most %d", held, before/2)
	}
	var out devicegroup.Output
	s.group.Next(b.conn, &out)
	if len(out.Fetch) != 2 || len(out.Ends) != 0 {
		t.Errorf("%d messages from the store and %d from memory, want the first two from the store", len(out.Fetch), len(out.Ends))
	}
	s.group.Next(b.conn, &out)
	if len(out.Fetch) != 0 || len(out.Ends) != 2 {
		t.Errorf("%d messages from the store and %d from memory, want the last two from memory", len(out.Fetch), len(out.Ends))
	}
}

// NextInMemory gives no message that would have to be fetched, and none that is behind such a one.
func TestB24_NextInMemory(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	for i := range 4 {
		a.reflects(text(i, 1000))
		s.commit()
	}
	s.group.TailBytes()
	s.group.Trim(s.group.TailBytes() / 2)
	var out devicegroup.Output
	s.group.NextInMemory(b.conn, &out)
	if !out.Empty() || !s.group.Pending(b.conn) {
		t.Errorf("%d messages from the store and %d from memory while the first two are in the store", len(out.Fetch), len(out.Ends))
	}
	s.group.Next(b.conn, &out)
	if len(out.Fetch) != 2 {
		t.Fatalf("%d messages from the store, want 2: what is in memory is remembered from the call before", len(out.Fetch))
	}
	s.group.NextInMemory(b.conn, &out)
	if len(out.Fetch) != 0 || len(out.Ends) != 2 || s.group.Pending(b.conn) {
		t.Errorf("%d messages from the store and %d from memory, want the last two from memory", len(out.Fetch), len(out.Ends))
	}
}

// backlog is a device that comes back to a queue of some 2 MiB, and reads nothing yet.
func backlog(s *scene) *device {
	a, b := s.pair()
	b.ends()
	for i := range 200 {
		a.reflects(text(i, 10_000))
		s.settle()
	}
	again := s.connect("B2")
	s.commit()
	return again
}

func TestB38_AnswersGoAheadOfTheQueue(t *testing.T) {
	s := newScene(t)
	b := backlog(s)
	b.flush()
	b.sends(d2m.GetDevicesInfo{})
	b.drops("Z")
	b.reflects("mine")
	s.commit()
	messages, _ := b.flush()
	var types []d2m.Type
	for _, m := range messages[:4] {
		types = append(types, m.Type())
	}
	want := []d2m.Type{d2m.TypeDevicesInfo, d2m.TypeDropDeviceAck, d2m.TypeReflectAck, d2m.TypeReflected}
	if !slices.Equal(types, want) {
		t.Errorf("B gets %v, want %v", types, want)
	}
}

func TestB38_EachFlushHoldsReflected(t *testing.T) {
	for _, kept := range []int{0, 4 << 20} {
		s := newScene(t, tail(kept), slots(devicegroup.MaxSlotsLimit))
		for i := range 12 { // so that DevicesInfo is large
			s.connect("A", isNew, withInfo(strings.Repeat("x", d2m.MaxDeviceInfoSize)), func(h *d2m.ClientHello) {
				h.DeviceID = d2m.DeviceID(100 + i)
			})
		}
		s.settle()
		b := backlog(s)
		for range 20 {
			b.sends(d2m.GetDevicesInfo{})
			b.sends(d2m.GetDevicesInfo{}) // together more than one flush is meant to hold
			messages, _ := b.flush()
			if last := messages[len(messages)-1]; last.Type() != d2m.TypeReflected {
				t.Fatalf("%d bytes in memory: a flush of %d messages has no Reflected", kept, len(messages))
			}
		}
	}
}

func TestB38_AFlushIsBounded(t *testing.T) {
	for _, kept := range []int{0, 4 << 20} {
		s := newScene(t, tail(kept))
		a, b := s.pair()
		for i := range 40 {
			a.reflects(text(i, []int{d2m.MaxEnvelopeSize, 10, 30_000}[i%3]))
			a.reflectsEphemeral(text(i, 10_000))
			s.commit()
		}
		flushes := 0
		for messages, _ := b.flush(); len(messages) > 0; messages, _ = b.flush() {
			size := 0
			for _, m := range messages {
				size += len(m.Append(nil))
			}
			if size > 64<<10+d2m.MaxMessageSize {
				t.Errorf("%d bytes in memory: a flush has %d bytes", kept, size)
			}
			flushes++
		}
		if flushes < 10 {
			t.Errorf("%d flushes", flushes)
		}
	}
}
