package csp

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// wantError compares the whole text.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %q", err, want)
	}
}

// The server at each of its steps, on the way through the vectors. Copies: a test
// may go on from one as often as it likes.
type serverSteps struct{ fresh, greeted, loggedIn, extended ServerHandshake }

func serverAtSteps(t testing.TB, v vectorFile) (at serverSteps) {
	t.Helper()
	server := v.server(t)
	at.fresh = *server
	if _, err := server.Hello(v.Handshake.ClientHello); err != nil {
		t.Fatal(err)
	}
	at.greeted = *server
	if _, err := server.Login(v.Handshake.Login[:LoginSize]); err != nil {
		t.Fatal(err)
	}
	at.loggedIn = *server
	if _, err := server.Extensions(v.Handshake.Login[LoginSize:]); err != nil {
		t.Fatal(err)
	}
	at.extended = *server
	return at
}

// clientAtLogin is one that has sent its login.
func clientAtLogin(t testing.TB, v vectorFile) ClientHandshake {
	t.Helper()
	client := v.client(t, v.login(t))
	if _, err := client.Login(v.Handshake.ServerHello); err != nil {
		t.Fatal(err)
	}
	return *client
}

func newKey(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// connect goes through a whole handshake with fresh keys.
func connect(t testing.TB, login Login, ack LoginAck) (client, server *Session, request LoginRequest, extensions Extensions) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	serverKey := newKey(t)
	login.Key, login.ServerKey = newKey(t), serverKey.PublicKey()
	c, err := NewClientHandshake(rand.Reader, login)
	must(err)
	s, err := NewServerHandshake(rand.Reader, serverKey)
	must(err)
	hello := c.Hello()
	serverHello, err := s.Hello(hello[:])
	must(err)
	box, err := c.Login(serverHello)
	must(err)
	request, err = s.Login(box[:LoginSize])
	must(err)
	if request.ExtensionsSize > 0 {
		extensions, err = s.Extensions(box[LoginSize:])
		must(err)
	} else if len(box) != LoginSize {
		t.Fatalf("login has %d bytes, want %d", len(box), LoginSize)
	}
	must(s.Authenticate(login.Key.PublicKey()))
	ackBox, server, err := s.Finish(ack)
	must(err)
	client, got, err := c.Finish(ackBox)
	must(err)
	if got != ack {
		t.Errorf("ack is %+v, want %+v", got, ack)
	}
	return client, server, request, extensions
}

func TestHandshake(t *testing.T) {
	id := Identity([]byte("AZ09ZA90"))
	device, cookie := DeviceID(1<<64-1), Cookie{1, 2, 3}
	full := Extensions{ClientInfo: "Größe", DeviceID: &device, Features: 0xff, DeviceCookie: &cookie}
	zeroDevice := DeviceID(0)
	for _, test := range []struct {
		name  string
		login Login
		ack   LoginAck
	}{
		{"all extensions", Login{Identity: id, Extensions: &full}, LoginAck{1 << 63, 1<<32 - 1}},
		{"empty extensions", Login{Identity: id, Extensions: &Extensions{}}, LoginAck{}},
		{"device id 0", Login{Identity: id, Extensions: &Extensions{DeviceID: &zeroDevice}}, LoginAck{1, 2}},
		{"largest extensions", Login{Identity: id, Extensions: &Extensions{ClientInfo: strings.Repeat("x", 65_535-16-3)}}, LoginAck{}},
		{"old style", Login{Identity: id, ClientInfo: "1.0;A;en/US"}, LoginAck{}},
		{"old style without client info", Login{Identity: id}, LoginAck{}},
		{"old style of 32 bytes", Login{Identity: id, ClientInfo: strings.Repeat("x", 32)}, LoginAck{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, server, request, extensions := connect(t, test.login, test.ack)
			if request.Identity != id || request.ClientInfo != test.login.ClientInfo {
				t.Errorf("request is %+v", request)
			}
			if test.login.Extensions != nil {
				sameExtensions(t, extensions, *test.login.Extensions)
			}
			checkConversation(t, client, server)
		})
	}
}

func checkConversation(t *testing.T, client, server *Session) {
	t.Helper()
	for i := range 5 {
		for _, way := range []struct{ from, to *Session }{{client, server}, {server, client}} {
			sent := Payload{Type: PayloadType(i), Data: bytes.Repeat([]byte{byte(i)}, i)}
			frame, err := way.from.Seal(nil, sent)
			if err != nil {
				t.Fatal(err)
			}
			got, err := way.to.Open(frame[2:])
			if err != nil || got.Type != sent.Type || !bytes.Equal(got.Data, sent.Data) {
				t.Errorf("opened %+v (%v), want %+v", got, err, sent)
			}
		}
	}
}

func TestEachConnectionIsItsOwn(t *testing.T) {
	v := readVectors(t)
	var hellos [2][ClientHelloSize]byte
	var answers [2][]byte
	for i := range 2 {
		client, err := NewClientHandshake(rand.Reader, v.login(t))
		if err != nil {
			t.Fatal(err)
		}
		server, err := NewServerHandshake(rand.Reader, secretKey(t, v.Secrets.ServerSecret))
		if err != nil {
			t.Fatal(err)
		}
		hellos[i] = client.Hello()
		if answers[i], err = server.Hello(v.Handshake.ClientHello); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Equal(hellos[0][:32], hellos[1][:32]) || bytes.Equal(hellos[0][32:], hellos[1][32:]) {
		t.Error("two clients share key or cookie")
	}
	if bytes.Equal(answers[0][:16], answers[1][:16]) || bytes.Equal(answers[0][32:], answers[1][32:]) {
		t.Error("two servers share cookie or key")
	}
}

func TestServerDrawsItsCookieAgain(t *testing.T) {
	v := readVectors(t)
	same, other := []byte(v.Secrets.ClientCookie), []byte(v.Secrets.ServerCookie)
	hello := func(parts ...[]byte) ([]byte, error) {
		random := source(append([][]byte{v.Secrets.TemporaryServerSecret}, parts...)...)
		server, err := NewServerHandshake(random, secretKey(t, v.Secrets.ServerSecret))
		if err != nil {
			t.Fatal(err)
		}
		return server.Hello(v.Handshake.ClientHello)
	}
	for draws := range maxCookieDraws + 1 {
		parts := append(slicesRepeat(same, draws), other)
		got, err := hello(parts...)
		if err != nil || !bytes.Equal(got, v.Handshake.ServerHello) {
			t.Errorf("after %d equal cookies: hello is %x (%v)", draws, got, err)
		}
	}
	_, err := hello(append(slicesRepeat(same, maxCookieDraws+1), other)...)
	wantError(t, err, "random source: yields the client's cookie again and again")
	if _, err := hello(same, other[:15]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error is %v", err)
	}
}

func slicesRepeat(part []byte, n int) (parts [][]byte) {
	for range n {
		parts = append(parts, part)
	}
	return parts
}

func TestExtensionsAreCopied(t *testing.T) {
	v := readVectors(t)
	login := v.login(t)
	client := v.client(t, login)
	login.Extensions.ClientInfo = "changed"
	*login.Extensions.DeviceID = 0
	*login.Extensions.DeviceCookie = Cookie{}
	box, err := client.Login(v.Handshake.ServerHello)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login", box, v.Handshake.Login)
}

// All that the login data reserves may have any value, and an old client info any
// bytes.
func TestLoginDataLeniency(t *testing.T) {
	v := readVectors(t)
	plain := [128]byte(v.Derived.LoginData)
	want, err := parseLoginData(&plain)
	if err != nil {
		t.Fatal(err)
	}
	for i := 56; i < 80; i++ {
		plain[i] = 0xff
	}
	for i := 112; i < 128; i++ {
		plain[i] = 0xff
	}
	if got, err := parseLoginData(&plain); err != nil || got != want {
		t.Errorf("login data is %+v (%v)", got, err)
	}
	for field, info := range map[string]string{
		"": "", "a": "a", "a\x00b": "a\x00b", "\xff\xfeb": "\uFFFDb", extensionIndicator[:29]: extensionIndicator[:29],
		strings.Repeat("y", 32): strings.Repeat("y", 32), strings.Repeat("z", 31) + "\xc3": strings.Repeat("z", 31) + "\uFFFD",
	} {
		clear(plain[8:40])
		copy(plain[8:40], field)
		got, err := parseLoginData(&plain)
		if err != nil || got.clientInfo != info || got.extensionsSize != 0 {
			t.Errorf("client info of %q is %q, extensions have %d bytes (%v)", field, got.clientInfo, got.extensionsSize, err)
		}
	}
	ack := [16]byte(v.Derived.LoginAck)
	wantAck := parseLoginAck(&ack)
	copy(ack[:4], "\xff\xff\xff\xff")
	if got := parseLoginAck(&ack); got != wantAck {
		t.Errorf("ack is %+v, want %+v", got, wantAck)
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	v := readVectors(t)
	at, client := serverAtSteps(t, v).extended, clientAtLogin(t, v)
	session, _ := v.sessions(t)
	login := v.login(t)
	for _, test := range []struct {
		value any
		want  string
	}{
		{client, "csp.ClientHandshake"}, {&client, "csp.ClientHandshake"},
		{at, "csp.ServerHandshake"}, {&at, "csp.ServerHandshake"},
		{*session, "csp.Session"}, {session, "csp.Session"},
		{login, "csp.Login of ECHOECHO"}, {&login, "csp.Login of ECHOECHO"},
		{*login.Extensions.DeviceCookie, "csp.Cookie"}, {login.Extensions.DeviceCookie, "csp.Cookie"},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			if got := fmt.Sprintf(verb, test.value); got != test.want {
				t.Errorf("%s of %s is %q", verb, test.want, got)
			}
		}
	}
	if got := fmt.Sprintf("%v", []Login{login}); got != "[csp.Login of ECHOECHO]" {
		t.Errorf("a slice prints as %s", got)
	}
}
