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

func TestRandomSourceThatEnds(t *testing.T) {
	v := readVectors(t)
	key := secretKey(t, v.Secrets.ServerSecret)
	for size := range 48 {
		if _, err := NewServerHandshake(source(make([]byte, size)), key); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("server with %d random bytes: %v", size, err)
		}
		if _, err := NewClientHandshake(source(make([]byte, size)), v.login(t)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("client with %d random bytes: %v", size, err)
		}
	}
}

// lowOrder are public keys with which all know the shared key.
func lowOrder(t testing.TB) []*ecdh.PublicKey {
	return []*ecdh.PublicKey{
		publicKey(t, make([]byte, 32)),
		publicKey(t, append([]byte{1}, make([]byte, 31)...)),
		publicKey(t, []byte("\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00")),
	}
}

func TestNewClientHandshakeRefuses(t *testing.T) {
	v := readVectors(t)
	foreign, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const identity = "login: identity has a character other than A–Z and 0–9"
	for _, test := range []struct {
		name   string
		change func(*Login)
		want   string
	}{
		{"no identity", func(l *Login) { l.Identity = Identity{} }, identity},
		{"lower case", func(l *Login) { l.Identity[7] = 'a' }, identity},
		{"no key", func(l *Login) { l.Key = nil }, "login: key is not an X25519 key"},
		{"empty key", func(l *Login) { l.Key = new(ecdh.PrivateKey) }, "login: key is not an X25519 key"},
		{"key of another curve", func(l *Login) { l.Key = foreign }, "login: key is not an X25519 key"},
		{"no server key", func(l *Login) { l.ServerKey = nil }, "login: server key is not an X25519 key"},
		{"server key of another curve", func(l *Login) { l.ServerKey = foreign.PublicKey() }, "login: server key is not an X25519 key"},
		{"low-order server key", func(l *Login) { l.ServerKey = lowOrder(t)[0] }, "login: server key is a low-order point"},
		{"another one", func(l *Login) { l.ServerKey = lowOrder(t)[1] }, "login: server key is a low-order point"},
		{"and another", func(l *Login) { l.ServerKey = lowOrder(t)[2] }, "login: server key is a low-order point"},
		{"old client info of 33 bytes", func(l *Login) { l.Extensions, l.ClientInfo = nil, strings.Repeat("x", 33) },
			"login: client info has 33 bytes, at most 32"},
		{"old client info like extensions", func(l *Login) { l.Extensions, l.ClientInfo = nil, extensionIndicator },
			"login: client info begins like extensions"},
		{"extensions", func(l *Login) { l.Extensions = &Extensions{ClientInfo: strings.Repeat("x", 65_535-16-3+1)} },
			"login: extensions have 65536 bytes, at most 65535"},
	} {
		t.Run(test.name, func(t *testing.T) {
			login := v.login(t)
			test.change(&login)
			_, err := NewClientHandshake(rand.Reader, login)
			wantError(t, err, test.want)
		})
	}
	for _, key := range []*ecdh.PrivateKey{nil, new(ecdh.PrivateKey), foreign} {
		_, err := NewServerHandshake(rand.Reader, key)
		wantError(t, err, "server key is not an X25519 key")
	}
}

// wrongSizes calls with the given bytes cut at each length, and longer.
func wrongSizes(t *testing.T, what string, right []byte, call func([]byte) error) {
	t.Helper()
	for size := range len(right) {
		wantError(t, call(right[:size:size]), fmt.Sprintf("%s has %d bytes, want %d", what, size, len(right)))
	}
	wantError(t, call(append(bytes.Clone(right), 0)), fmt.Sprintf("%s has %d bytes, want %d", what, len(right)+1, len(right)))
}

func TestWrongSizes(t *testing.T) {
	v := readVectors(t)
	at := serverAtSteps(t, v)
	wrongSizes(t, "client hello", v.Handshake.ClientHello, func(b []byte) error {
		h := at.fresh
		_, err := h.Hello(b)
		return err
	})
	wrongSizes(t, "login", v.Handshake.Login[:LoginSize], func(b []byte) error {
		h := at.greeted
		_, err := h.Login(b)
		return err
	})
	box := v.Handshake.Login[LoginSize:]
	for _, size := range []int{0, 1, len(box) - 1} {
		h := at.loggedIn
		_, err := h.Extensions(box[:size])
		wantError(t, err, fmt.Sprintf("extensions have %d bytes, announced are %d", size, len(box)))
	}
	login := v.login(t)
	wrongSizes(t, "server hello", v.Handshake.ServerHello, func(b []byte) error {
		_, err := v.client(t, login).Login(b)
		return err
	})
	atLogin := clientAtLogin(t, v)
	wrongSizes(t, "login ack", v.Handshake.LoginAck, func(b []byte) error {
		h := atLogin
		_, _, err := h.Finish(b)
		return err
	})
}

// flips calls with each bit changed, one at a time; each has to be refused.
func flips(t *testing.T, what string, right []byte, call func([]byte) error) {
	t.Helper()
	if err := call(right); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for bit := range 8 * len(right) {
		wrong := bytes.Clone(right)
		wrong[bit/8] ^= 1 << (bit % 8)
		if call(wrong) == nil {
			t.Errorf("%s with bit %d changed is taken", what, bit)
		}
	}
}

func TestEveryBitCounts(t *testing.T) {
	v := readVectors(t)
	at, atLogin, login := serverAtSteps(t, v), clientAtLogin(t, v), v.login(t)
	client := v.client(t, login)
	flips(t, "server hello", v.Handshake.ServerHello, func(b []byte) error {
		c := *client
		_, err := c.Login(b)
		return err
	})
	flips(t, "login", v.Handshake.Login[:LoginSize], func(b []byte) error {
		h := at.greeted
		_, err := h.Login(b)
		return err
	})
	flips(t, "extensions", v.Handshake.Login[LoginSize:], func(b []byte) error {
		h := at.loggedIn
		_, err := h.Extensions(b)
		return err
	})
	flips(t, "login ack", v.Handshake.LoginAck, func(b []byte) error {
		h := atLogin
		_, _, err := h.Finish(b)
		return err
	})
	flips(t, "vouch", v.Derived.Vouch, func(b []byte) error {
		h := at.extended
		h.vouch = [32]byte(b)
		return h.Authenticate(login.Key.PublicKey())
	})
	// X25519 ignores the highest bit of a public key, the hash of the vouch does not.
	flips(t, "client hello", v.Handshake.ClientHello, func(b []byte) error {
		h := at.fresh
		hello, err := h.Hello(b)
		if err != nil {
			return err
		}
		c := *client
		if _, err := c.Login(hello); err == nil {
			if _, err = h.Login(v.Handshake.Login[:LoginSize]); err == nil {
				return h.Authenticate(login.Key.PublicKey())
			}
		}
		return errors.New("client and server part")
	})
}

func TestClientRefusesServerHello(t *testing.T) {
	v := readVectors(t)
	right := v.client(t, v.login(t))
	clientCookie, serverCookie := right.client.cookie, Cookie(v.Secrets.ServerCookie)
	temporary := publicKey(t, v.Secrets.TemporaryServerPublic)
	for _, test := range []struct {
		name      string
		cookie    Cookie // of the server
		key       [32]byte
		boxes     uint64
		temporary *ecdh.PublicKey
		client    Cookie // in the box
		want      string
	}{
		{"as it should be", serverCookie, right.helloKey, 0, temporary, clientCookie, ""},
		{"cookie of the client", clientCookie, right.helloKey, 0, temporary, clientCookie, "server hello: cookie is the client's"},
		{"another key", serverCookie, [32]byte{1}, 0, temporary, clientCookie, "server hello: box cannot be opened"},
		{"counted from 0", serverCookie, right.helloKey, 1<<64 - 1, temporary, clientCookie, "server hello: box cannot be opened"},
		{"counted from 2", serverCookie, right.helloKey, 1, temporary, clientCookie, "server hello: box cannot be opened"},
		{"client cookie of another connection", serverCookie, right.helloKey, 0, temporary, Cookie{1}, "server hello: client cookie is another one"},
		{"low order", serverCookie, right.helloKey, 0, lowOrder(t)[0], clientCookie, "server hello: temporary key is a low-order point"},
		{"another low order", serverCookie, right.helloKey, 0, lowOrder(t)[2], clientCookie, "server hello: temporary key is a low-order point"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := direction{cookie: test.cookie, boxes: test.boxes}
			hello := sealServerHello(&server, &test.key, test.temporary, test.client)
			client := *right
			_, err := client.Login(hello)
			if test.want == "" && err == nil {
				return
			}
			wantError(t, err, test.want)
			_, err = client.Login(v.Handshake.ServerHello)
			wantError(t, err, "handshake: step is out of order")
		})
	}
}

func TestServerRefusesClientHello(t *testing.T) {
	v := readVectors(t)
	for _, key := range lowOrder(t) {
		server := v.server(t)
		_, err := server.Hello(appendClientHello(nil, key, Cookie{}))
		wantError(t, err, "client hello: temporary key is a low-order point")
		_, err = server.Hello(v.Handshake.ClientHello)
		wantError(t, err, "handshake: step is out of order")
	}
}

func TestServerRefusesLogin(t *testing.T) {
	v := readVectors(t)
	greeted := serverAtSteps(t, v).greeted
	right, err := parseLoginData((*[128]byte)(v.Derived.LoginData))
	if err != nil {
		t.Fatal(err)
	}
	const identity = "login: identity has a character other than A–Z and 0–9"
	for _, test := range []struct {
		name   string
		change func(*loginData)
		want   string
	}{
		{"as it should be", func(*loginData) {}, ""},
		{"smallest extensions", func(d *loginData) { d.extensionsSize = 16 }, ""},
		{"largest extensions", func(d *loginData) { d.extensionsSize = 65_535 }, ""},
		{"extensions below a box", func(d *loginData) { d.extensionsSize = 15 }, "login: extensions have 15 bytes, want at least 16"},
		{"no extensions but the indicator", func(d *loginData) { d.extensionsSize = 1 << 16 }, "login: extensions have 0 bytes, want at least 16"},
		{"lower case", func(d *loginData) { d.identity[0] = 'e' }, identity},
		{"star", func(d *loginData) { d.identity[0] = '*' }, identity},
		{"zero byte", func(d *loginData) { d.identity[7] = 0 }, identity},
		{"server cookie", func(d *loginData) { d.serverCookie[15] ^= 1 }, "login: server cookie is another one"},
		{"client cookie", func(d *loginData) { d.serverCookie = Cookie(v.Secrets.ClientCookie) }, "login: server cookie is another one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := right
			test.change(&data)
			plain := data.encode()
			client := greeted.client
			server := greeted
			request, err := server.Login(client.seal(nil, plain[:], &server.sessionKey))
			if test.want == "" {
				if err != nil || request.ExtensionsSize != data.extensionsSize {
					t.Errorf("request is %+v (%v)", request, err)
				}
				return
			}
			wantError(t, err, test.want)
			if request != (LoginRequest{}) {
				t.Errorf("request beside the error is %+v", request)
			}
			_, err = server.Login(v.Handshake.Login[:LoginSize])
			wantError(t, err, "handshake: step is out of order")
		})
	}
}

func TestServerRefusesExtensions(t *testing.T) {
	v := readVectors(t)
	loggedIn := serverAtSteps(t, v).loggedIn
	wrong := bytes.Clone(v.Derived.Extensions)
	wrong[1]++ // the first length
	wrong[len(wrong)-17]--
	client := loggedIn.client
	if _, err := loggedIn.Extensions(client.seal(nil, wrong, &loggedIn.sessionKey)); err == nil {
		t.Error("extensions that cannot be parsed are taken")
	}
	wantError(t, loggedIn.Authenticate(publicKey(t, v.Secrets.ClientPublic)), "handshake: step is out of order")
}

func TestAuthenticateRefuses(t *testing.T) {
	v := readVectors(t)
	extended := serverAtSteps(t, v).extended
	foreign, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		key  *ecdh.PublicKey
		want string
	}{
		{"another key", newKey(t).PublicKey(), "login: vouch is wrong"},
		{"the server's key", publicKey(t, v.Secrets.ServerPublic), "login: vouch is wrong"},
		{"the temporary key", publicKey(t, v.Secrets.TemporaryClientPublic), "login: vouch is wrong"},
		{"none", nil, "identity key is not an X25519 key"},
		{"an empty one", new(ecdh.PublicKey), "identity key is not an X25519 key"},
		{"another curve's", foreign.PublicKey(), "identity key is not an X25519 key"},
		{"low order", lowOrder(t)[0], "identity key is a low-order point"},
		{"another low order", lowOrder(t)[2], "identity key is a low-order point"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := extended
			wantError(t, server.Authenticate(test.key), test.want)
			wantError(t, server.Authenticate(publicKey(t, v.Secrets.ClientPublic)), "handshake: step is out of order")
			_, _, err := server.Finish(LoginAck{})
			wantError(t, err, "handshake: step is out of order")
		})
	}
}

// A vouch is for one server cookie and one temporary key.
func TestVouchIsForOneConnection(t *testing.T) {
	v := readVectors(t)
	right := serverAtSteps(t, v).extended
	for name, change := range map[string]func(*ServerHandshake){
		"server cookie":        func(h *ServerHandshake) { h.server.cookie[0] ^= 1 },
		"temporary client key": func(h *ServerHandshake) { h.temporaryClient = newKey(t).PublicKey() },
		"temporary server key": func(h *ServerHandshake) { h.temporary = newKey(t) },
		"server key":           func(h *ServerHandshake) { h.key = newKey(t) },
	} {
		server := right
		change(&server)
		if err := server.Authenticate(publicKey(t, v.Secrets.ClientPublic)); err == nil {
			t.Errorf("vouch for another %s is taken", name)
		}
	}
	server := right
	if err := server.Authenticate(publicKey(t, v.Secrets.ClientPublic)); err != nil {
		t.Error(err)
	}
}
