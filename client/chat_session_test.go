package client

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"testing"

	"openmediator/csp"
)

// machines are both ends of a connection without anything in between.
type machines struct {
	t       *testing.T
	device  *chatSession
	server  *csp.ServerHandshake
	session *csp.Session // the server's
	key     *ecdh.PrivateKey
}

func newMachines(t *testing.T, receives bool) *machines {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config := ChatConfig{Identity: csp.Identity([]byte("ALICE001")), Key: key, ServerKey: key.PublicKey()}
	device, err := newChatSession(rand.Reader, config.login(), receives)
	if err != nil {
		t.Fatal(err)
	}
	server, err := csp.NewServerHandshake(rand.Reader, key)
	if err != nil {
		t.Fatal(err)
	}
	return &machines{t: t, device: device, server: server, key: key}
}

func (m *machines) serverHello() []byte {
	m.t.Helper()
	answer, err := m.server.Hello(m.device.hello())
	if err != nil {
		m.t.Fatal(err)
	}
	return answer
}

func (m *machines) loginAck(login []byte) []byte {
	m.t.Helper()
	_, err := m.server.Login(login[:csp.LoginSize])
	if err == nil {
		_, err = m.server.Extensions(login[csp.LoginSize:])
	}
	if err == nil {
		err = m.server.Authenticate(m.key.PublicKey())
	}
	if err != nil {
		m.t.Fatal(err)
	}
	ack, session, err := m.server.Finish(csp.LoginAck{Queued: 3})
	if err != nil {
		m.t.Fatal(err)
	}
	m.session = session
	return ack
}

// login plays the handshake and returns what the login ack led to.
func (m *machines) login() chatLoggedIn {
	m.t.Helper()
	login := receiveUnit[chatLogin](m, m.serverHello())
	return receiveUnit[chatLoggedIn](m, m.loginAck(login.login))
}

// receiveUnit expects the unit to lead to an action of this type.
func receiveUnit[A chatAction](m *machines, unit []byte) A {
	m.t.Helper()
	action, err := m.device.receive(unit)
	if err != nil {
		m.t.Fatal(err)
	}
	a, ok := action.(A)
	if !ok {
		m.t.Fatalf("action %T, want %T", action, a)
	}
	return a
}

func (m *machines) seal(kind csp.PayloadType, data []byte) []byte {
	m.t.Helper()
	frame, err := m.session.Seal(nil, csp.Payload{Type: kind, Data: data})
	if err != nil {
		m.t.Fatal(err)
	}
	return frame
}

func TestChatSessionActions(t *testing.T) {
	m := newMachines(t, true)
	if in := m.login(); in.ack.Queued != 3 || in.unblock {
		t.Errorf("login %+v", in)
	}
	if echo := receiveUnit[chatEcho](m, m.seal(csp.EchoRequest, []byte("data"))); string(echo.data) != "data" {
		t.Errorf("echo %q", echo.data)
	}
	ack := csp.MessageAck{Identity: csp.Identity([]byte("BOB00002")), ID: 7}
	if sent := receiveUnit[chatSent](m, m.seal(csp.OutgoingMessageAck, ack.Append(nil))); sent.ack != ack {
		t.Errorf("sent %+v", sent)
	}
	message := csp.Message{Sender: ack.Identity, ID: 8, Box: []byte("box")}
	data, err := message.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := receiveUnit[chatIncoming](m, m.seal(csp.IncomingMessage, data)).message
	if got.Sender != ack.Identity || got.ID != 8 || string(got.Box) != "box" {
		t.Errorf("message %+v", got)
	}
	receiveUnit[chatQueueSent](m, m.seal(csp.QueueSendComplete, nil))
	receiveUnit[chatCookieChange](m, m.seal(csp.DeviceCookieChange, nil))
	if alert := receiveUnit[chatAlert](m, m.seal(csp.Alert, []byte("beware"))); alert.text != "beware" {
		t.Errorf("alert %q", alert.text)
	}
	for _, kind := range []csp.PayloadType{0x42, csp.EchoResponse, csp.OutgoingMessage, csp.UnblockIncoming} {
		if action, err := m.device.receive(m.seal(kind, []byte("x"))); action != nil || err != nil {
			t.Errorf("%v: %T, %v", kind, action, err)
		}
	}
	_, err = m.device.receive(m.seal(csp.CloseError, csp.Closed{Text: "go"}.Append(nil)))
	var closed *ChatClosedError
	if !errors.As(err, &closed) || closed.Text != "go" || closed.MayReconnect {
		t.Errorf("close error: %v", err)
	}
}

// The device asks for messages once: when it both leads and is logged in.
func TestChatSessionUnblocks(t *testing.T) {
	before := newMachines(t, true)
	if before.device.promote() {
		t.Error("unblocks before the login")
	}
	if in := before.login(); !in.unblock || before.device.promote() {
		t.Error("does not unblock once with the login")
	}
	after := newMachines(t, true)
	if in := after.login(); in.unblock || !after.device.promote() || after.device.promote() {
		t.Error("does not unblock once when promoted")
	}
	never := newMachines(t, false)
	if never.device.promote() || never.login().unblock || never.device.promote() {
		t.Error("unblocks although nobody receives")
	}
}

// B36: TCP's chunks must not show through. Each unit is cut at each place, and has a
// byte too many.
func TestB36_ChatSessionTakesWholeUnitsOnly(t *testing.T) {
	units := map[string]func(m *machines) []byte{
		"server hello": func(m *machines) []byte { return m.serverHello() },
		"login ack": func(m *machines) []byte {
			return m.loginAck(receiveUnit[chatLogin](m, m.serverHello()).login)
		},
		"frame": func(m *machines) []byte { m.login(); return m.seal(csp.EchoRequest, []byte("data")) },
	}
	for name, next := range units {
		t.Run(name, func(t *testing.T) {
			m := newMachines(t, true)
			unit := next(m)
			for cut := range unit {
				expectViolation(t, m, unit[:cut])
			}
			receiveUnit[chatAction](m, unit) // it is not harmed
			for _, behind := range [][]byte{{0}, unit} {
				m = newMachines(t, true)
				expectViolation(t, m, append(bytes.Clone(next(m)), behind...))
			}
		})
	}
}

func expectViolation(t *testing.T, m *machines, unit []byte) {
	t.Helper()
	var violation *ProtocolError
	if action, err := m.device.receive(unit); !errors.As(err, &violation) || action != nil {
		t.Errorf("%d bytes: %T, %v", len(unit), action, err)
	}
}

// A unit with any bit wrong is the chat server's fault, and does not panic.
func TestChatSessionGarbage(t *testing.T) {
	for name, next := range map[string]func(m *machines) []byte{
		"server hello": func(m *machines) []byte { return m.serverHello() },
		"login ack": func(m *machines) []byte {
			return m.loginAck(receiveUnit[chatLogin](m, m.serverHello()).login)
		},
		"frame": func(m *machines) []byte { m.login(); return m.seal(csp.EchoRequest, []byte("data")) },
	} {
		m := newMachines(t, true)
		unit := next(m)
		for at := range unit {
			if name == "frame" && at < 2 {
				continue // another length
			}
			m := newMachines(t, true)
			spoilt := next(m)
			spoilt[at] ^= 0x10
			var wrong *ChatServerError
			if _, err := m.device.receive(spoilt); !errors.As(err, &wrong) {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
		}
	}
	m := newMachines(t, true)
	m.login()
	var wrong *ChatServerError
	for _, frame := range [][]byte{{0, 0}, {1, 0, 7}, {0xff, 0xff}, {0x01, 0x20}, append([]byte{20, 0}, make([]byte, 20)...)} {
		if _, err := m.device.receive(frame); !errors.As(err, &wrong) {
			t.Errorf("frame %x: %v", frame, err)
		}
	}
}
