package hostile

import (
	"slices"
	"testing"
	"testing/synctest"

	"openmediator/d2m"
	"openmediator/internal/listen"
)

// dribbled is how many bytes of a case arrive one by one; the rest of a longer one comes at once.
const dribbled = 400

// Each case comes to the same if its bytes arrive one by one: here each is read before the next is sent. Unless the whole is
// tried, one half of the cases does so before ClientHello, the other registered.
func TestB40_RFC6455_ByteByByte(t *testing.T) {
	cases := slices.Concat(lengthCases(), longCases(), textCases(), wholeCases(), amongCases(), orderCases(), pingCases(),
		longControlCases(), codeCases(), closeCases())
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t, listen.NewPipe())
		for i := range cases {
			for n, st := range []state{stranger, registered} {
				if whole || i%2 == n {
					a.dribble(&cases[i], st)
				}
			}
		}
	})
}

// dribble runs a case byte by byte.
func (a *arena) dribble(c *rfcCase, st state) {
	a.t.Helper()
	want, sent := c.want(st), c.send(st)
	envelopes := delivered(sent, want.messages)
	const barrier = "and still here"
	if want.code == 0 {
		sent = append(sent, wsFrame(fin|opPing, []byte(barrier))...)
		want.pongs = append(slices.Clone(want.pongs), barrier)
	}
	if st == stranger {
		want.messages, envelopes = 0, nil
	}
	s := a.enter(st)
	go s.writeByteByByte(sent)
	got := s.observe(func(o outcome) bool {
		return want.code == 0 && slices.Contains(o.pongs, barrier) && o.messages >= want.messages
	})
	if !got.equal(want) {
		a.t.Errorf("%v, want %v", got, want)
	}
	if want.code == 0 {
		s.leave()
	}
	s.Close()
	a.honest.areWell(envelopes...)
	if a.t.Failed() {
		a.t.Fatalf("that was %s, %s %s", states[st], c.section, c.name)
	}
}

// writeByteByByte ends early if nobody reads any more.
func (s *stream) writeByteByByte(b []byte) {
	for i := range min(len(b), dribbled) {
		if _, err := s.Write(b[i : i+1]); err != nil {
			return
		}
	}
	s.Write(b[min(len(b), dribbled):])
}

// converse is a device's whole life, of which send sends the parts. It ends when that says that there is no more.
func (a *arena) converse(s *stream, send func(b []byte) bool) {
	a.t.Helper()
	if !send([]byte(a.id.request())) {
		return
	}
	s.expectUpgrade()
	before := a.slot
	if !send(a.hello(s)) {
		a.slot = before
		return
	}
	s.awaitMessage(d2m.TypeReflectionQueueDry)
	ending := slices.Concat(wsFrame(opBinary, d2m.GetDevicesInfo{}.Append(nil)), wsFrame(fin|opPing, []byte("ping")),
		wsFrame(fin|opContinuation, nil), wsFrame(fin|opClose, closePayload(1000, "goodbye")))
	if !send(ending) {
		return
	}
	want := outcome{pongs: []string{"ping"}, code: 1000}
	if got := s.observe(nil); !got.equal(want) {
		a.t.Errorf("%v, want %v", got, want)
	}
	s.expectEnd()
}

// A login may arrive in two pieces, wherever they meet.
func TestB40_ChoppedAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t, listen.NewPipe())
		for at, more := 1, true; more; at++ {
			more = false
			sent := 0
			s := a.target.connect(t)
			a.converse(s, func(b []byte) bool {
				if cut := at - sent; cut > 0 && cut < len(b) {
					s.write(b[:cut])
					synctest.Wait() // it is read, and looked at
					b, sent, more = b[cut:], at, true
				}
				s.write(b)
				sent += len(b)
				return true
			})
			s.Close()
		}
		a.honest.areWell()
	})
}

// A connection may end after any byte of a login. Nothing of it is left but the slot, if it was taken.
func TestB44_CutAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t, listen.NewPipe())
		for at, more := 0, true; more; at++ {
			more = false
			sent := 0
			s := a.target.connect(t)
			a.converse(s, func(b []byte) bool {
				if cut := at - sent; cut < len(b) {
					s.write(b[:cut])
					s.Close()
					more = true
					return false
				}
				s.write(b)
				sent += len(b)
				return true
			})
			s.Close()
			synctest.Wait()
			if open := a.target.Connections(); open != len(a.honest.wires) {
				t.Fatalf("cut after %d bytes: %d connections are counted", at, open)
			}
		}
		a.honest.areWell()
	})
}

// A message of which not all has come is none, wherever the connection ends in it.
func TestB40_HalfMessages(t *testing.T) {
	message := registered.message(5000)
	var boundaries []int
	for size := 512; size < len(message); size *= 2 { // where buffers may end
		boundaries = append(boundaries, size-1, size, size+1)
	}
	head := len(wsHeader(fin|opBinary, 16, 0))
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t, listen.NewPipe())
		end := func(what string, sent []byte) {
			s := a.enter(registered)
			s.write(sent)
			s.Close()
			synctest.Wait()
			a.honest.areWell()
			if t.Failed() {
				t.Fatalf("that was %s, of which %d bytes had come", what, len(sent))
			}
		}
		fragment := wsFrame(opBinary, message[:60])
		end("one fragment of a message", fragment)
		end("a fragment and the header of another one", append(fragment, wsHeader(fin|opContinuation, 7, 60)...))
		end("a fragment and an empty one", append(fragment, wsFrame(opContinuation, nil)...))
		for _, size := range boundaries {
			end("a whole frame", wsFrame(fin|opBinary, message)[:head+size])
		}
	})
}
