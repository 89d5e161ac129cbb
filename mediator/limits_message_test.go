package mediator_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/mediator"
)

// begun registers a device by hand and sends the beginning of a message: the first frame, of several.
func (s *testServer) begun(id identity) *wire {
	s.t.Helper()
	w := s.loginWire(id, 1, d2m.SlotNew)
	expectOn[d2m.RolePromotedToLeader](w)
	w.frame(opBinary, d2m.GetDevicesInfo{}.Append(nil))
	return w
}

// A message that has begun is complete within a minute or ends the connection, whatever trickles in meanwhile.
func TestB44_SlowMessages(t *testing.T) {
	for name, trickle := range map[string]func(*wire){
		"nothing":      func(*wire) {},
		"bytes":        func(w *wire) { w.Write([]byte{0}) },
		"empty frames": func(w *wire) { w.Write(appendFrame(nil, opContinuation, nil)) },
		"pings":        func(w *wire) { w.Write(appendFrame(nil, fin|opPing, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				w := s.begun(newIdentity(t))
				if name == "bytes" {
					w.write([]byte{opContinuation, 0x80 | 125, 0, 0, 0, 0})
				}
				began := time.Now()
				in := w.listen()
				for range 58 {
					time.Sleep(time.Second)
					trickle(w)
				}
				if over, _, _ := in.ended(); over {
					t.Fatal("ended before its time")
				}
				s.reflectsAtOnce(honest)
				time.Sleep(8 * time.Second)
				if _, code, at := in.ended(); code != d2m.CloseIdle || at.Sub(began) < time.Minute || at.Sub(began) > 66*time.Second {
					t.Errorf("closed with %d after %v, want 4013 after a minute", code, at.Sub(began))
				}
			})
		})
	}
}

// Each message has its own minute, and a connection on which none has begun may rest.
func TestB44_MessagesInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		w := s.begun(newIdentity(t))
		for range 5 {
			time.Sleep(59 * time.Second)
			w.frame(fin|opContinuation, nil)
			expectOn[d2m.DevicesInfo](w)
			w.frame(opBinary, d2m.GetDevicesInfo{}.Append(nil))
		}
		w.frame(fin|opContinuation, nil)
		expectOn[d2m.DevicesInfo](w)
		in := w.listen()
		time.Sleep(3 * time.Hour)
		if over, code, _ := in.ended(); over {
			t.Errorf("closed with %d for resting", code)
		}
		w.frame(opBinary, d2m.GetDevicesInfo{}.Append(nil))
		time.Sleep(70 * time.Second)
		if _, code, _ := in.ended(); code != d2m.CloseIdle {
			t.Errorf("after the sixth message, which never ends: closed with %d, want 4013", code)
		}
	})
}

// A message that is not read because the device does not read is not late: a slow link gets its time.
func TestB44_MessageThatIsNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.PingInterval = time.Hour })
		id := newIdentity(t)
		w := s.begun(id)
		_, ended := w.push(appendFrame(nil, fin|opPing, make([]byte, 125)))
		for range 10 { // it reads slowly (B21), also just when the message's time would be over
			time.Sleep(30 * time.Second)
			io.ReadFull(w.Conn, make([]byte, 2+125)) // one pong
		}
		second, _ := s.login(id, 2, d2m.SlotNew)
		second.send(d2m.GetDevicesInfo{})
		if info := expect[d2m.DevicesInfo](second.device); !info.Devices[0].Connected {
			t.Fatal("the connection is over")
		}
		second.leave()
		w.SetWriteDeadline(time.Now())
		<-ended
		in := w.listen()
		<-in.done
		if _, code, _ := in.ended(); code != d2m.CloseIdle { // the message never went on
			t.Errorf("closed with %d", code)
		}
	})
}

// A device that sends pings and reads no pong is not read any more: after 16 KiB of them before its login, after 128 KiB
// else. As much again may be with the kernel, and a piece of 16 KiB has been read ahead.
func TestB21_PingFlood(t *testing.T) {
	for name, flood := range map[string]struct {
		dial func(*testServer) *wire
		most int64
		last time.Duration
	}{
		"before the login": {func(s *testServer) *wire { return s.from(attacker).dialWire(newIdentity(t)) }, 2*16<<10 + 2*16<<10, 25 * time.Second},
		"after it":         {func(s *testServer) *wire { return s.loginWire(newIdentity(t), 1, d2m.SlotNew) }, 2*128<<10 + 2*16<<10, 66 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				w := flood.dial(s)
				began := time.Now()
				taken, ended := w.push(appendFrame(nil, fin|opPing, make([]byte, 125)))
				synctest.Wait()
				if n := taken.Load(); n > flood.most {
					t.Errorf("%d bytes were taken, want at most %d", n, flood.most)
				}
				<-ended
				if took := time.Since(began); took > flood.last {
					t.Errorf("over after %v, want at most %v", took, flood.last)
				}
				time.Sleep(2 * time.Second)
				if n := s.Connections(); n != 0 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// A million empty frames of one message cost no memory: less than a byte each is allocated in all, and nothing for each.
func TestB21_EmptyFramesByTheMillion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.MessageTimeout = time.Hour })
		w := s.begun(newIdentity(t))
		const perWrite = 5000
		frames := bytes.Repeat(appendFrame(nil, opContinuation, nil), perWrite)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range emptyFrames / perWrite {
			w.write(frames)
		}
		synctest.Wait()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > emptyFrames*emptyFrameBytes {
			t.Errorf("%d frames made the server allocate %d bytes", emptyFrames, n)
		}
		if n := after.Mallocs - before.Mallocs; n > emptyFrames/100 {
			t.Errorf("%d frames made the server allocate %d times", emptyFrames, n)
		}
		w.frame(fin|opContinuation, nil)
		expectOn[d2m.DevicesInfo](w)
	})
}
