package mediator_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

func TestB2_ServerHelloIsFresh(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	esks := make(map[[32]byte]bool)
	challenges := make(map[d2m.Challenge]bool)
	for range 20 {
		hello := expectOn[d2m.ServerHello](s.dialWire(id))
		if hello.Version != 0 {
			t.Fatalf("version %d locks apps out", hello.Version)
		}
		esks[hello.ESK], challenges[hello.Challenge] = true, true
	}
	if len(esks) != 20 || len(challenges) != 20 {
		t.Errorf("20 connections got %d keys and %d challenges", len(esks), len(challenges))
	}
}

func TestB3_SilentClient(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"default": 0, "set": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				config := mediator.DefaultConfig()
				want := 15 * time.Second
				if timeout != 0 {
					config.HandshakeTimeout, want = timeout, timeout
				}
				s := startServer(t, listen.NewPipe(), memstore.New(), config)
				d := s.dial(newIdentity(t))
				started := time.Now()
				expect[d2m.ServerHello](d)
				d.expectCloseAtOnce(d2m.CloseIdle)
				if took := time.Since(started); took != want {
					t.Errorf("closed after %v, want %v", took, want)
				}
			})
		})
	}
}

// Bytes for the chat server, and a ClientHello that does not end, buy no time.
func TestB3_BusyClient(t *testing.T) {
	for name, send := range map[string]func(*wire){
		"proxy":           func(w *wire) { w.message(d2m.Proxy{Data: []byte{1}}) },
		"half a message":  func(w *wire) { w.write([]byte{0}) },
		"fragments":       func(w *wire) { w.frame(opContinuation, nil) },
		"pings and pongs": func(w *wire) { w.frame(fin|opPing, nil); w.frame(fin|opPong, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				w := s.dialWire(newIdentity(t))
				started := time.Now()
				expectOn[d2m.ServerHello](w)
				switch name {
				case "half a message":
					w.write([]byte{fin | opBinary, 0x80 | 100, 0, 0, 0, 0})
				case "fragments":
					w.frame(opBinary, []byte{0x11, 0, 0, 0})
				}
				ticker := time.NewTicker(time.Second)
				defer ticker.Stop()
				go func() {
					for range 14 {
						<-ticker.C
						send(w)
					}
				}()
				w.expectCloseFrame(d2m.CloseIdle)
				if took := time.Since(started); took != 15*time.Second {
					t.Errorf("closed after %v", took)
				}
			})
		})
	}
}

// A ClientHello that comes while the connection is being closed registers nobody. Either side of the server may read it
// then, so it is tried some times.
func TestB3_ClientHelloComesTooLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		for range 10 {
			id := newIdentity(t)
			w := s.dialWire(id)
			hello := expectOn[d2m.ServerHello](w)
			w.expectCloseFrame(d2m.CloseIdle)
			w.message(id.hello(t, hello, 1, d2m.SlotNew))
			w.expectEnd()
		}
		if n := len(s.storedGroups()); n != 0 {
			t.Errorf("%d devices are registered", n)
		}
	})
}

func TestB3_TimeoutEndsWithRegistration(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
		in := d.listen()
		time.Sleep(time.Hour)
		if over, code, at := in.ended(); over {
			t.Errorf("closed with %d at %v", code, at)
		}
	})
}

func TestB3_ClientHelloComesFirst(t *testing.T) {
	s := start(t)
	for _, m := range []d2m.Message{
		d2m.ServerHello{}, d2m.ServerInfo{}, d2m.ReflectionQueueDry{}, d2m.RolePromotedToLeader{}, d2m.GetDevicesInfo{},
		d2m.DevicesInfo{}, d2m.DropDevice{DeviceID: 1}, d2m.DropDeviceAck{}, d2m.SetSharedDeviceData{Data: []byte("x")},
		d2m.BeginTransaction{}, d2m.BeginTransactionAck{}, d2m.CommitTransaction{}, d2m.CommitTransactionAck{},
		d2m.TransactionRejected{}, d2m.TransactionEnded{}, d2m.Reflect{}, d2m.ReflectAck{}, d2m.Reflected{}, d2m.ReflectedAck{},
	} {
		t.Run(m.Type().String(), func(t *testing.T) {
			d := s.dial(newIdentity(t))
			expect[d2m.ServerHello](d)
			d.send(m)
			d.expectCloseAtOnce(d2m.CloseProtocolError)
		})
	}
}

// One app sends DropDevice with its own id right behind ClientHello and only waits for the end (d2m.md, 11).
func TestB3_DropDeviceBehindClientHello(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	s.login(id, 7, d2m.SlotNew)
	w := s.dialWire(id)
	hello := id.hello(t, expectOn[d2m.ServerHello](w), 7, d2m.SlotExisting)
	w.write(appendMessages(nil, hello, d2m.DropDevice{DeviceID: 7}))
	expectOn[d2m.ServerInfo](w)
	for {
		m, code := w.next()
		switch m := m.(type) {
		case d2m.ReflectionQueueDry, d2m.RolePromotedToLeader:
			continue
		case d2m.DropDeviceAck:
			if m.DeviceID != 7 {
				t.Errorf("ack for device %d", m.DeviceID)
			}
		default:
			t.Fatalf("got %T (close code %d), want the ack", m, code)
		}
		break
	}
	w.expectClose(d2m.CloseDropped)
	s.refused(id, 7, d2m.SlotExisting, d2m.CloseSlotState)
}

// What follows ClientHello in the same TCP segment is handled in order, and nothing is answered before ServerInfo.
func TestB3_MessagesBehindClientHello(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		peer, _ := s.login(id, 1, d2m.SlotNew)
		got := peer.listen()

		resume := s.holdCommits()
		w := s.dialWire(id)
		hello := id.hello(t, expectOn[d2m.ServerHello](w), 2, d2m.SlotNew)
		w.write(appendMessages(nil, hello,
			d2m.Reflect{ID: 10, Envelope: []byte("first")},
			d2m.GetDevicesInfo{},
			d2m.Reflect{ID: 11, Envelope: []byte("second")},
			d2m.DropDevice{DeviceID: 99}))
		answers := w.listen()
		synctest.Wait()
		if early := answers.take(); len(early) != 0 {
			t.Fatalf("got %T before the registration was stored", early[0])
		}
		resume()
		synctest.Wait()

		var kinds []d2m.Type
		for _, m := range answers.take() {
			if m.Type() != d2m.TypeReflectionQueueDry {
				kinds = append(kinds, m.Type())
			}
		}
		want := []d2m.Type{d2m.TypeServerInfo, d2m.TypeReflectAck, d2m.TypeDevicesInfo, d2m.TypeReflectAck, d2m.TypeDropDeviceAck}
		if !slices.Equal(kinds, want) {
			t.Errorf("got %v, want %v", kinds, want)
		}
		var envelopes []string
		for _, m := range got.take() {
			if r, ok := m.(d2m.Reflected); ok {
				envelopes = append(envelopes, string(r.Envelope))
			}
		}
		if !slices.Equal(envelopes, []string{"first", "second"}) {
			t.Errorf("the other device got %q", envelopes)
		}
	})
}

// holdCommits makes the store wait with every commit until resume is called.
func (s *testServer) holdCommits() (resume func()) {
	gate := make(chan struct{})
	s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
		if op == memstore.OpCommit {
			<-gate
		}
		return nil
	})
	return func() { close(gate) }
}

func TestB5_WrongResponses(t *testing.T) {
	s := start(t)
	id, stranger := newIdentity(t), newIdentity(t)
	s.login(id, 1, d2m.SlotNew)

	earlier := expectOn[d2m.ServerHello](s.dialWire(id))
	replayed := id.hello(t, earlier, 1, d2m.SlotExisting)
	var random d2m.ClientHello
	rand.Read(random.Response[:])
	for name, hello := range map[string]func(d2m.ServerHello) d2m.ClientHello{
		"nothing":                          func(d2m.ServerHello) d2m.ClientHello { return d2m.ClientHello{} },
		"random":                           func(d2m.ServerHello) d2m.ClientHello { return random },
		"replayed from another connection": func(d2m.ServerHello) d2m.ClientHello { return replayed },
		"of another group": func(to d2m.ServerHello) d2m.ClientHello {
			return stranger.hello(t, to, 1, d2m.SlotExisting)
		},
		"for another esk": func(to d2m.ServerHello) d2m.ClientHello {
			to.ESK = earlier.ESK
			return id.hello(t, to, 1, d2m.SlotExisting)
		},
		"for another challenge": func(to d2m.ServerHello) d2m.ClientHello {
			to.Challenge = earlier.Challenge
			return id.hello(t, to, 1, d2m.SlotExisting)
		},
		"with a bit turned in the tag": func(to d2m.ServerHello) d2m.ClientHello {
			hello := id.hello(t, to, 1, d2m.SlotExisting)
			hello.Response[24] ^= 1
			return hello
		},
		"with a bit turned in the box": func(to d2m.ServerHello) d2m.ClientHello {
			hello := id.hello(t, to, 1, d2m.SlotExisting)
			hello.Response[71] ^= 0x80
			return hello
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := s.dial(id)
			d.send(hello(expect[d2m.ServerHello](d)))
			d.expectCloseAtOnce(d2m.CloseProtocolError)
		})
	}
	s.login(id, 1, d2m.SlotExisting)
}

// clientHelloWith is a valid ClientHello with fields behind it, which in protobuf replace those before.
func (d *device) clientHelloWith(fields func([]byte) []byte) []byte {
	d.t.Helper()
	return fields(d.hello(expect[d2m.ServerHello](d), 1, d2m.SlotNew).Append(nil))
}

func varintField(b []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), value)
}

func bytesField(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

func TestB5_UnlistedValues(t *testing.T) {
	s := start(t)
	for name, fields := range map[string]func([]byte) []byte{
		"slots exhausted policy 2":  func(b []byte) []byte { return varintField(b, 4, 2) },
		"slot expiration policy 2":  func(b []byte) []byte { return varintField(b, 5, 2) },
		"expected slot state 2":     func(b []byte) []byte { return varintField(b, 7, 2) },
		"negative slot state":       func(b []byte) []byte { return varintField(b, 7, 1<<64-1) },
		"response of 71 bytes":      func(b []byte) []byte { return bytesField(b, 2, make([]byte, 71)) },
		"response of 73 bytes":      func(b []byte) []byte { return bytesField(b, 2, make([]byte, 73)) },
		"no protobuf at the end":    func(b []byte) []byte { return append(b, 0xff) },
		"device info of 4097 bytes": func(b []byte) []byte { return bytesField(b, 6, make([]byte, 4097)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := s.dial(newIdentity(t))
			d.sendFrame(d.clientHelloWith(fields))
			d.expectCloseAtOnce(d2m.CloseProtocolError)
		})
	}
	t.Run("unknown fields are none of them", func(t *testing.T) {
		d := s.dial(newIdentity(t))
		d.sendFrame(d.clientHelloWith(func(b []byte) []byte { return varintField(bytesField(b, 6, make([]byte, 4096)), 99, 1) }))
		expect[d2m.ServerInfo](d)
	})
}

func TestB5_VersionComesFirst(t *testing.T) {
	s := start(t)
	for name, fields := range map[string]func([]byte) []byte{
		"alone":                  func(b []byte) []byte { return b },
		"with a wrong response":  func(b []byte) []byte { return bytesField(b, 2, make([]byte, 72)) },
		"with a short response":  func(b []byte) []byte { return bytesField(b, 2, nil) },
		"with an unlisted value": func(b []byte) []byte { return varintField(b, 7, 9) },
		"with a large info":      func(b []byte) []byte { return bytesField(b, 6, make([]byte, 5000)) },
		"with garbage behind it": func(b []byte) []byte { return append(b, 0xff, 0xff) },
	} {
		t.Run(name, func(t *testing.T) {
			d := s.dial(newIdentity(t))
			d.sendFrame(d.clientHelloWith(func(b []byte) []byte { return fields(varintField(b, 1, 1)) }))
			d.expectCloseAtOnce(d2m.CloseUnsupportedVersion)
		})
	}
	t.Run("the largest", func(t *testing.T) {
		d := s.dial(newIdentity(t))
		hello := d.hello(expect[d2m.ServerHello](d), 1, d2m.SlotNew)
		hello.Version = 1<<32 - 1
		d.send(hello)
		d.expectCloseAtOnce(d2m.CloseUnsupportedVersion)
	})
}

func TestB6_NothingIsLookedUpBeforeTheChallengeIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		asked := make(chan memstore.Op, 100)
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op != memstore.OpUsage {
				asked <- op
			}
			return nil
		})
		id := newIdentity(t)
		wrong := s.dial(id)
		hello := wrong.hello(expect[d2m.ServerHello](wrong), 1, d2m.SlotNew)
		hello.Response[50] ^= 1
		wrong.send(hello)
		wrong.expectClose(d2m.CloseProtocolError)

		hasty := s.dial(id)
		hasty.send(d2m.Proxy{Data: []byte("hello, chat server")})
		hasty.send(d2m.Reflect{Envelope: []byte("too early")})
		hasty.expectClose(d2m.CloseProtocolError)

		silent := s.dial(id)
		silent.expectClose(d2m.CloseIdle)
		s.dial(id).leave()
		synctest.Wait()
		if len(asked) != 0 {
			t.Fatalf("the store was asked %d times, operation %d first", len(asked), <-asked)
		}
		if s.GroupsInUse() != 0 {
			t.Error("the group is in use")
		}
		d, _ := s.login(id, 1, d2m.SlotNew)
		d.leave()
		if len(asked) == 0 {
			t.Error("a login did not ask the store: the test looks at nothing")
		}
	})
}

// A group comes into being with its first registered device, not with one that is refused.
func TestB6_RefusalMakesNoGroup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		commits := 0
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				commits++
			}
			return nil
		})
		s.refused(newIdentity(t), 1, d2m.SlotExisting, d2m.CloseSlotState)
		time.Sleep(time.Minute)
		if commits != 0 || len(s.storedGroups()) != 0 {
			t.Errorf("%d commits, %d groups", commits, len(s.storedGroups()))
		}
		if s.GroupsInUse() != 0 || s.Connections() != 0 {
			t.Errorf("%d groups in use, %d connections", s.GroupsInUse(), s.Connections())
		}
	})
}
