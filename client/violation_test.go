package client_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/d2m"
)

// violations are what a server must not send to a registered device that has asked
// for nothing.
var violations = map[string]func(p *peer){
	"text":                   func(p *peer) { p.sendFrame(websocket.MessageText, []byte("hello")) },
	"text that is a message": func(p *peer) { p.sendFrame(websocket.MessageText, d2m.ReflectionQueueDry{}.Append(nil)) },
	"empty":                  func(p *peer) { p.sendFrame(websocket.MessageBinary, nil) },
	"unknown type":           func(p *peer) { p.sendFrame(websocket.MessageBinary, []byte{0x99, 0, 0, 0}) },
	"cut short":              func(p *peer) { p.sendFrame(websocket.MessageBinary, []byte{0x82, 0, 0, 0, 16}) },
	"garbage": func(p *peer) {
		p.sendFrame(websocket.MessageBinary, append([]byte{byte(d2m.TypeDevicesInfo), 0, 0, 0}, bytes.Repeat([]byte{0xff}, 100)...))
	},
	"oversized": func(p *peer) {
		p.sendFrame(websocket.MessageBinary, append(d2m.Reflected{}.Append(nil), make([]byte, d2m.MaxMessageSize)...))
	},
	"message of a device": func(p *peer) { p.send(d2m.GetDevicesInfo{}) },
	"ServerHello again":   func(p *peer) { p.send(d2m.ServerHello{}) },
	"ServerInfo again":    func(p *peer) { p.send(d2m.ServerInfo{}) },
	"dry twice":           func(p *peer) { p.send(d2m.ReflectionQueueDry{}, d2m.ReflectionQueueDry{}) },
	"leader before dry":   func(p *peer) { p.send(d2m.RolePromotedToLeader{}) },
	"leader twice": func(p *peer) {
		p.send(d2m.ReflectionQueueDry{}, d2m.RolePromotedToLeader{}, d2m.RolePromotedToLeader{})
	},
	"ack of nothing":    func(p *peer) { p.send(d2m.ReflectAck{ID: 3}) },
	"devices unasked":   func(p *peer) { p.send(d2m.DevicesInfo{}) },
	"drop ack unasked":  func(p *peer) { p.send(d2m.DropDeviceAck{DeviceID: 7}) },
	"proxy unasked":     func(p *peer) { p.send(d2m.Proxy{Data: []byte("x")}) },
	"lock unasked":      func(p *peer) { p.send(d2m.BeginTransactionAck{}) },
	"commit unasked":    func(p *peer) { p.send(d2m.CommitTransactionAck{}) },
	"rejection unasked": func(p *peer) { p.send(d2m.TransactionRejected{}) },
	"Reflected, broken header": func(p *peer) {
		p.sendFrame(websocket.MessageBinary, append([]byte{0x82, 0, 0, 0, 99}, make([]byte, 30)...))
	},
	"ReflectAck of wrong length": func(p *peer) {
		p.sendFrame(websocket.MessageBinary, append([]byte{0x81, 0, 0, 0}, make([]byte, 17)...))
	},
}

// A device answers a violation with 4010, says what it was, and comes back.
func TestViolationsOfServer(t *testing.T) {
	for name, violate := range violations {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.config()
				told := recordDisconnections(&config)
				start(t, config)
				p := f.register()
				violate(p)
				if code := p.receiveEnd(); code != websocket.StatusCode(d2m.CloseProtocolError) {
					t.Errorf("closed with %d, want 4010", code)
				}
				var protocol *client.ProtocolError
				if got := <-told; !errors.As(got.err, &protocol) {
					t.Errorf("disconnected by %v", got.err)
				}
				f.register()
			})
		})
	}
}

func TestAckGivenTwiceIsViolation(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goReflect(t.Context(), d, "hello")
		id := receive[d2m.Reflect](p).ID
		p.send(d2m.ReflectAck{ID: id}, d2m.ReflectAck{ID: id})
		if code := p.receiveEnd(); code != websocket.StatusCode(d2m.CloseProtocolError) {
			t.Errorf("closed with %d, want 4010", code)
		}
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}

// Transactions of others do not concern a device that has none.
func TestTransactionEndedIsIgnored(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		p.send(d2m.TransactionEnded{DeviceID: 8})
		result := goReflect(t.Context(), d, "hello")
		p.send(d2m.ReflectAck{ID: receive[d2m.Reflect](p).ID})
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}

// handshakeViolations come instead of, or after, a good ServerHello.
var handshakeViolations = map[string]func(p *peer){
	"ServerInfo first":   func(p *peer) { p.send(d2m.ServerInfo{}) },
	"text first":         func(p *peer) { p.sendFrame(websocket.MessageText, []byte("hello")) },
	"low-order key":      func(p *peer) { p.send(d2m.ServerHello{}) },
	"dry before info":    func(p *peer) { p.challenge(); p.send(d2m.ReflectionQueueDry{}) },
	"ServerHello twice":  func(p *peer) { p.challenge(); p.send(d2m.ServerHello{}) },
	"Reflected too soon": func(p *peer) { p.challenge(); p.send(d2m.Reflected{}) },
	"slot not expected":  func(p *peer) { p.challenge(); p.send(d2m.ServerInfo{SlotState: d2m.SlotExisting}) },
}

func TestViolationsOfHandshake(t *testing.T) {
	for name, violate := range handshakeViolations {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.config()
				config.OnRegistered = func() error { t.Error("OnRegistered was called"); return nil }
				result := goConnect(t.Context(), config)
				p := f.accept()
				violate(p)
				if code := p.receiveEnd(); code != websocket.StatusCode(d2m.CloseProtocolError) {
					t.Errorf("closed with %d, want 4010", code)
				}
				var protocol *client.ProtocolError
				if got := <-result; !errors.As(got.err, &protocol) {
					t.Errorf("Connect: %v", got.err)
				}
			})
		})
	}
}

type connected struct {
	device *client.Device
	err    error
}

// goConnect calls Connect in a goroutine of its own.
func goConnect(ctx context.Context, config client.Config) chan connected {
	result := make(chan connected, 1)
	go func() {
		d, err := client.Connect(ctx, config)
		result <- connected{d, err}
	}()
	return result
}
