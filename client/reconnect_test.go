package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/d2m"
)

// disconnection is what OnDisconnected was told.
type disconnection struct {
	err   error
	retry time.Duration
}

// recordDisconnections makes a config report to a channel.
func recordDisconnections(config *client.Config) chan disconnection {
	told := make(chan disconnection, 100)
	config.OnDisconnected = func(err error, retry time.Duration) { told <- disconnection{err, retry} }
	return told
}

func TestReconnectByCloseCode(t *testing.T) {
	for code, reconnects := range map[d2m.CloseCode]bool{
		d2m.CloseNormal: true, d2m.CloseGoingAway: true, d2m.CloseProtocolViolation: true, d2m.CloseInternal: true,
		d2m.CloseChatServerClosed: true, d2m.CloseChatServerUnreachable: true, d2m.CloseChatServerInternal: true,
		d2m.CloseProtocolError: true, d2m.CloseTransactionExpired: true, d2m.CloseUnknownMessageAcked: true,
		d2m.CloseIdle: true, 1013: true, 4099: true, 4200: true,
		d2m.CloseUnsupportedVersion: false, d2m.CloseDeviceLimit: false, d2m.CloseReplaced: false,
		d2m.CloseDropped: false, d2m.CloseQueueLimit: false, d2m.CloseSlotState: false, 4199: false,
	} {
		t.Run(fmt.Sprint(uint16(code)), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) { testReconnect(t, f, code, reconnects) })
		})
	}
}

func testReconnect(t *testing.T, f *fakeServer, code d2m.CloseCode, reconnects bool) {
	config := f.config()
	told := recordDisconnections(&config)
	d := start(t, config)
	f.register().close(code)
	var closed *client.CloseError
	if !reconnects {
		<-d.Done()
		if !errors.As(d.Err(), &closed) || closed.Code != code || closed.Reason != "reason" {
			t.Errorf("ended with %v", d.Err())
		}
		if len(told) > 0 {
			t.Error("the end was reported as a disconnection")
		}
		return
	}
	if got := <-told; !errors.As(got.err, &closed) || closed.Code != code {
		t.Errorf("disconnected by %v", got.err)
	}
	f.register()
	if d.Err() != nil {
		t.Errorf("ended with %v", d.Err())
	}
}

func TestReconnectAfterCloseBeforeServerInfo(t *testing.T) {
	for code, reconnects := range map[d2m.CloseCode]bool{d2m.CloseInternal: true, d2m.CloseSlotState: false} {
		t.Run(fmt.Sprint(uint16(code)), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.accept()
				p.challenge()
				p.close(code)
				if reconnects {
					f.register()
					return
				}
				<-d.Done()
				var closed *client.CloseError
				if !errors.As(d.Err(), &closed) || closed.Code != code {
					t.Errorf("ended with %v", d.Err())
				}
			})
		})
	}
}

func TestReconnectAfterAbruptEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		told := recordDisconnections(&config)
		start(t, config)
		f.register().socket.CloseNow()
		var lost *client.LostError
		if got := <-told; !errors.As(got.err, &lost) {
			t.Errorf("disconnected by %v", got.err)
		}
		f.register()
	})
}

// A device waits for as long as it says, longer from failure to failure, and never
// beyond the maximum.
func TestReconnectWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		told := recordDisconnections(&config)
		attempts := make(chan time.Time, 100)
		config.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) {
			attempts <- time.Now()
			return nil, errors.New("no network")
		}
		start(t, config)
		bound := 2 * client.DefaultReconnectMin
		for range 12 {
			at, got := <-attempts, <-told
			bound = min(2*bound, client.DefaultReconnectMax)
			var unreachable *client.UnreachableError
			if !errors.As(got.err, &unreachable) {
				t.Fatalf("disconnected by %v", got.err)
			}
			if got.retry < client.DefaultReconnectMin || got.retry > bound {
				t.Errorf("waits %v, want %v to %v", got.retry, client.DefaultReconnectMin, bound)
			}
			if waited := (<-attempts).Sub(at); waited != got.retry {
				t.Errorf("waited %v, announced %v", waited, got.retry)
			}
			attempts <- time.Now()
		}
	})
}

// A server that takes devices and loses them at once is asked less and less often;
// after a connection that has lasted, the waits are short again.
func TestReconnectWaitsAfterShortAndLongConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.ReconnectMin, config.ReconnectMax = time.Second, time.Hour
		told := recordDisconnections(&config)
		start(t, config)
		var longest time.Duration
		for range 12 {
			f.register().close(d2m.CloseInternal)
			longest = max(longest, (<-told).retry)
		}
		if longest < time.Minute {
			t.Errorf("waited %v at most after 12 short connections", longest)
		}
		p := f.register()
		go p.discard() // answers pings
		<-time.After(2 * time.Hour)
		p.socket.Close(websocket.StatusGoingAway, "")
		if got := <-told; got.retry > 4*time.Second {
			t.Errorf("waits %v after a connection of two hours", got.retry)
		}
	})
}

func TestB7_DeviceExpectsSlotOnceRegistered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		registered := 0
		config := f.config()
		config.OnRegistered = func() error { registered++; return nil }
		d := start(t, config)

		// ServerInfo did not arrive: as far as the device knows it has no slot.
		p := f.accept()
		p.challenge()
		if p.hello.Expected != d2m.SlotNew {
			t.Errorf("first connection expects %v", p.hello.Expected)
		}
		p.socket.CloseNow()
		p = f.register()
		if p.hello.Expected != d2m.SlotNew {
			t.Errorf("second connection expects %v", p.hello.Expected)
		}
		p.close(d2m.CloseGoingAway)
		p = f.register()
		if p.hello.Expected != d2m.SlotExisting {
			t.Errorf("third connection expects %v", p.hello.Expected)
		}
		info := p.hello.DeviceInfo
		p.close(d2m.CloseNormal)
		p = f.register()
		if !bytes.Equal(p.hello.DeviceInfo, info) {
			t.Error("the device info has changed, so the server must write it")
		}
		if registered != 1 || !d.Registered() {
			t.Errorf("OnRegistered was called %d times, Registered is %v", registered, d.Registered())
		}
	})
}

func TestB7_RegisteredDeviceExpectsSlotFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.Registered = true
		config.OnRegistered = func() error { t.Error("OnRegistered was called"); return nil }
		start(t, config)
		if p := f.register(); p.hello.Expected != d2m.SlotExisting {
			t.Errorf("expects %v", p.hello.Expected)
		}
	})
}

// A message after ServerInfo, or an ack, tells the server that the device knows of
// its registration. So it must be stored before.
func TestB7_NothingIsSentBeforeRegistrationIsStored(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		stored := make(chan struct{})
		isStored := false
		config.OnRegistered = func() error { <-stored; isStored = true; return nil }
		config.Receive = func(context.Context, client.Message) error { return nil }
		d := start(t, config)
		result := goReflect(t.Context(), d, "early")
		p := f.register()
		go p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "x")})
		<-time.After(time.Minute)
		if d.Connected() {
			t.Error("the device is connected before its registration is stored")
		}
		close(stored)
		_, frame, err := p.socket.Read(t.Context())
		if err != nil || !isStored {
			t.Fatalf("received %x, %v before the registration was stored", frame, err)
		}
		d.Close()
		<-result
	})
}

func TestB7_DeviceThatCannotStoreItsRegistrationEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		full := errors.New("disk full")
		config.OnRegistered = func() error { return full }
		d := start(t, config)
		if code := f.register().receiveEnd(); code != websocket.StatusNormalClosure {
			t.Errorf("closed with %d", code)
		}
		<-d.Done()
		if !errors.Is(d.Err(), full) || d.Registered() {
			t.Errorf("ended with %v, Registered is %v", d.Err(), d.Registered())
		}
	})
}

func TestHelloCarriesPoliciesAndInfo(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		start(t, config)
		p := f.register()
		if p.hello.SlotsExhausted != d2m.Reject || p.hello.Expiration != d2m.Persistent || p.hello.DeviceID != 7 {
			t.Errorf("defaults: %+v", p.hello)
		}
		config.DropLeastRecent, config.Volatile, config.Info.Label = true, true, "kitchen"
		start(t, config)
		p = f.register()
		if p.hello.SlotsExhausted != d2m.DropLeastRecent || p.hello.Expiration != d2m.Volatile {
			t.Errorf("policies: %+v", p.hello)
		}
		plain, _, err := testKeys.OpenDeviceInfo(p.hello.DeviceInfo)
		if err != nil {
			t.Fatal(err)
		}
		if info := parseInfo(t, plain); info.Label != "kitchen" {
			t.Errorf("device info: %+v", info)
		}
	})
}
