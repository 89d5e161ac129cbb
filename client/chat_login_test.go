package client_test

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
)

// The client hello goes out behind ClientHello, before ServerInfo: that is what
// helloChat waits for.
func TestB4_ChatLogin(t *testing.T) {
	for _, cookie := range []*csp.Cookie{nil, {1, 2, 3}} {
		inBubble(t, func(t *testing.T, f *fakeServer) {
			config := f.chatConfig()
			config.Chat.DeviceCookie = cookie
			acks := make(chan csp.LoginAck, 1)
			config.Chat.OnLogin = func(ack csp.LoginAck) { acks <- ack }
			start(t, config)
			c := f.registerChat()
			if ack := <-acks; ack.Time != 1234 || ack.Queued != 5 {
				t.Errorf("OnLogin was told %+v", ack)
			}
			e := c.extensions
			if e.ClientInfo != "test" || e.DeviceID == nil || *e.DeviceID != 70 || e.Features != csp.FeatureMetadata|csp.FeatureEcho {
				t.Errorf("extensions %+v", e)
			}
			if (e.DeviceCookie == nil) != (cookie == nil) || cookie != nil && *e.DeviceCookie != *cookie {
				t.Errorf("device cookie %v", e.DeviceCookie)
			}
		})
	}
}

// With a slot that the caller does not know of, nothing may confirm it (B7); the
// client hello does not.
func TestB7_NothingButClientHelloBeforeOnRegistered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		stored := make(chan struct{})
		config.OnRegistered = func() error { <-stored; return nil }
		start(t, config)
		p := f.register()
		receive[d2m.Proxy](p)
		p.expectSilenceFor(time.Second)
		close(stored)
	})
}

// expectSilenceFor fails if the device sends anything for a while. What it sends
// later comes from the channel.
func (p *peer) expectSilenceFor(while time.Duration) chan d2m.Message {
	p.t.Helper()
	received := make(chan d2m.Message, 1)
	go func() {
		_, frame, err := p.socket.Read(context.Background())
		if err != nil {
			close(received)
			return
		}
		m, err := d2m.Parse(frame)
		if err != nil {
			p.t.Error(err)
		}
		received <- m
	}()
	<-time.After(while)
	synctest.Wait()
	select {
	case m, ok := <-received:
		if !ok {
			p.t.Error("the connection has ended, want silence")
			break
		}
		p.t.Errorf("received %v, want nothing", m.Type())
		received <- m
	default:
	}
	return received
}

func TestChatServerThatDoesNotAnswerTheLogin(t *testing.T) {
	for name, answer := range map[string]func(f *fakeServer){
		"no server hello": func(f *fakeServer) { f.register() },
		"no login ack":    func(f *fakeServer) { f.helloChat() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.chatConfig()
				told := recordDisconnections(&config)
				start(t, config)
				before := time.Now()
				answer(f)
				var lost *client.LostError
				if got := <-told; !errors.As(got.err, &lost) {
					t.Errorf("disconnected by %v", got.err)
				}
				if took := time.Since(before); took != 20*time.Second {
					t.Errorf("took %v, want 20 s", took)
				}
				f.registerChat()
			})
		})
	}
}

// Without a chat server a Proxy comes unasked.
func TestB35_ProxyForDeviceWithoutChat(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		start(t, f.config())
		p := f.register()
		p.send(d2m.Proxy{Data: make([]byte, csp.ServerHelloSize)})
		if code := p.receiveEnd(); code != websocket.StatusCode(d2m.CloseProtocolError) {
			t.Errorf("closed with %d, want 4010", code)
		}
	})
}

// What is not one unit is the mediator's fault, and its connection is closed with
// 4010.
func TestB36_ProxyThatIsNotOneUnit(t *testing.T) {
	for name, send := range map[string]func(c *chatPeer){
		"empty":          func(c *chatPeer) { c.proxy(nil) },
		"half a length":  func(c *chatPeer) { c.proxy([]byte{20}) },
		"part of frame":  func(c *chatPeer) { c.proxy(c.seal(csp.EchoRequest, nil)[:21]) },
		"one byte more":  func(c *chatPeer) { c.proxy(append(c.seal(csp.EchoRequest, nil), 0)) },
		"two frames":     func(c *chatPeer) { c.proxy(append(c.seal(csp.EchoRequest, nil), c.seal(csp.EchoRequest, nil)...)) },
		"unsent promise": func(c *chatPeer) { c.proxy([]byte{255, 20}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.chatConfig()
				told := recordDisconnections(&config)
				start(t, config)
				c := f.registerChat()
				send(c)
				if code := c.receiveEnd(); code != websocket.StatusCode(d2m.CloseProtocolError) {
					t.Errorf("closed with %d, want 4010", code)
				}
				var protocol *client.ProtocolError
				if got := <-told; !errors.As(got.err, &protocol) {
					t.Errorf("disconnected by %v", got.err)
				}
				f.registerChat()
			})
		})
	}
}

// What the chat server does wrong is not the mediator's fault: 1000.
func TestChatServerThatSendsGarbage(t *testing.T) {
	for name, send := range map[string]func(f *fakeServer) *chatPeer{
		"server hello": func(f *fakeServer) *chatPeer {
			c := &chatPeer{peer: f.register()}
			receive[d2m.Proxy](c.peer)
			c.proxy(make([]byte, csp.ServerHelloSize))
			return c
		},
		"login ack": func(f *fakeServer) *chatPeer {
			c := f.helloChat()
			receive[d2m.Proxy](c.peer)
			c.proxy(make([]byte, csp.LoginAckSize))
			return c
		},
		"frame": func(f *fakeServer) *chatPeer {
			c := f.registerChat()
			c.proxy(append([]byte{40, 0}, make([]byte, 40)...))
			return c
		},
		"frame of 65,535 bytes": func(f *fakeServer) *chatPeer {
			c := f.registerChat()
			c.proxy(append([]byte{0xff, 0xff}, make([]byte, 30_000)...))
			return c
		},
		"message":       payloadTo(csp.IncomingMessage, make([]byte, 87)),
		"ack":           payloadTo(csp.OutgoingMessageAck, make([]byte, 15)),
		"close error":   payloadTo(csp.CloseError, nil),
		"frame, replay": replayFrame,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.chatConfig()
				told := recordDisconnections(&config)
				start(t, config)
				if code := send(f).receiveEnd(); code != websocket.StatusNormalClosure {
					t.Errorf("closed with %d, want 1000", code)
				}
				var wrong *client.ChatServerError
				if got := <-told; !errors.As(got.err, &wrong) {
					t.Errorf("disconnected by %v", got.err)
				}
				f.registerChat()
			})
		})
	}
}

func payloadTo(kind csp.PayloadType, data []byte) func(f *fakeServer) *chatPeer {
	return func(f *fakeServer) *chatPeer {
		c := f.registerChat()
		c.sendPayload(kind, data)
		return c
	}
}

func replayFrame(f *fakeServer) *chatPeer {
	c := f.registerChat()
	frame := c.seal(csp.QueueSendComplete, nil)
	c.proxy(frame)
	c.proxy(frame)
	return c
}

// Types that a client does not know, or that only clients send, mean nothing.
func TestPayloadsThatAreIgnored(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		start(t, f.chatConfig())
		c := f.registerChat()
		for _, kind := range []csp.PayloadType{0x77, csp.UnblockIncoming, csp.SetIdleTimeout, csp.EchoResponse, csp.IncomingMessageAck} {
			c.sendPayload(kind, []byte("whatever"))
		}
		c.sendPayload(csp.OutgoingMessageAck, csp.MessageAck{Identity: bob.id, ID: 1}.Append(nil)) // of nothing
		c.sendPayload(csp.EchoRequest, []byte("still there?"))
		if got := c.receivePayload(csp.EchoResponse); string(got) != "still there?" {
			t.Errorf("echo %q", got)
		}
	})
}

// A chat server that says no more than that ends the device; one that is closed by
// the mediator's codes does not.
func TestChatClosed(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.chatConfig()
				told := recordDisconnections(&config)
				d := start(t, config)
				c := f.registerChat()
				c.sendPayload(csp.CloseError, csp.Closed{MayReconnect: again, Text: "Another connection"}.Append(nil))
				if code := c.receiveEnd(); code != websocket.StatusNormalClosure {
					t.Errorf("closed with %d, want 1000", code)
				}
				var closed *client.ChatClosedError
				if again {
					if got := <-told; !errors.As(got.err, &closed) || closed.Text != "Another connection" {
						t.Errorf("disconnected by %v", got.err)
					}
					f.registerChat()
					return
				}
				<-d.Done()
				if !errors.As(d.Err(), &closed) || closed.Text != "Another connection" || len(told) > 0 {
					t.Errorf("ended with %v", d.Err())
				}
				_, err := d.SendChat(t.Context(), bob.id, csp.KindText, nil)
				if !errors.As(err, &closed) {
					t.Errorf("SendChat: %v", err)
				}
			})
		})
	}
}

func TestB37_ChatServerCannotBeReached(t *testing.T) {
	for _, code := range []d2m.CloseCode{d2m.CloseChatServerClosed, d2m.CloseChatServerUnreachable, d2m.CloseChatServerInternal} {
		inBubble(t, func(t *testing.T, f *fakeServer) {
			start(t, f.chatConfig())
			c := f.register()
			receive[d2m.Proxy](c)
			c.close(code)
			f.registerChat()
		})
	}
}

func TestChatAlertAndCookieChange(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		told := make(chan string)
		config.Chat.OnAlert = func(text string) { told <- text }
		config.Chat.OnDeviceCookieChange = func() { told <- "cookie" }
		config.Chat.OnQueueSent = func() { told <- "queue sent" }
		d := start(t, config)
		if err := d.ClearDeviceCookieChange(t.Context()); !errors.Is(err, client.ErrOffline) {
			t.Errorf("ClearDeviceCookieChange without a login: %v", err)
		}
		c := f.registerChat()
		c.sendPayload(csp.DeviceCookieChange, nil)
		c.sendPayload(csp.Alert, []byte("beware"))
		for _, want := range []string{"cookie", "beware"} {
			if got := <-told; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		c.sendPayload(csp.QueueSendComplete, nil)
		if got := <-told; got != "queue sent" {
			t.Errorf("told %q", got)
		}
		if err := d.ClearDeviceCookieChange(t.Context()); err != nil {
			t.Error(err)
		}
		c.receivePayload(csp.ClearDeviceCookieChange)
		c.close(d2m.CloseGoingAway)
		synctest.Wait()
		if err := d.ClearDeviceCookieChange(t.Context()); !errors.Is(err, client.ErrOffline) {
			t.Errorf("ClearDeviceCookieChange after the end: %v", err)
		}
	})
}

func TestChatConfigThatDoesNotHoldTogether(t *testing.T) {
	for name, spoil := range map[string]func(c *client.ChatConfig){
		"no identity":    func(c *client.ChatConfig) { c.Identity = csp.Identity{} },
		"no key":         func(c *client.ChatConfig) { c.Key = nil },
		"no server key":  func(c *client.ChatConfig) { c.ServerKey = nil },
		"no PublicKey":   func(c *client.ChatConfig) { c.PublicKey = nil },
		"key of P-256":   func(c *client.ChatConfig) { c.Key, _ = ecdh.P256().GenerateKey(zeroes{}) },
		"info not UTF-8": func(c *client.ChatConfig) { c.ClientInfo = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			chat := aliceChat()
			spoil(chat)
			d, err := client.Start(client.Config{URL: "ws://localhost", Keys: testKeys, Chat: chat})
			if err == nil {
				d.Close()
				t.Error("Start took it")
			}
		})
	}
}

func TestDeviceWithoutChat(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		f.register()
		_, err := d.SendChat(t.Context(), bob.id, csp.KindText, nil)
		for _, err := range []error{err, d.SendChatSealed(t.Context(), client.SealedChat{}), d.ClearDeviceCookieChange(t.Context())} {
			if !errors.Is(err, client.ErrNoChat) {
				t.Error(err)
			}
		}
	})
}
