package csp

import (
	"crypto/ecdh"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
)

// awaited is what a handshake waits for. An error of what came means that it
// waits for nothing more.
type awaited uint8

const (
	awaitsNothing     awaited = iota // it is over, or was never begun
	awaitsClientHello                // server
	awaitsServerHello                // client
	awaitsLogin                      // server
	awaitsProof                      // server: Authenticate, and Extensions if there are any
	awaitsLoginAck                   // client
)

var errOutOfOrder = errors.New("handshake: step is out of order")

// take says whether it is the turn of a step. The step sets what is awaited next
// when it is done.
func (a *awaited) take(step awaited) error {
	if *a != step {
		return errOutOfOrder
	}
	*a = awaitsNothing
	return nil
}

// Login is who logs in, and where.
type Login struct {
	Identity   Identity
	Key        *ecdh.PrivateKey // of the identity (CK)
	ServerKey  *ecdh.PublicKey  // permanent (SK)
	Extensions *Extensions      // nil: an old-style login with ClientInfo
	ClientInfo string           // used if Extensions is nil; at most 32 bytes
}

// Format implements [fmt.Formatter] and prints no key.
func (l Login) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "csp.Login of %v", l.Identity) }

// ClientHandshake is the client's side. Its methods are called in the order Login,
// Finish; out of order they return an error. After an error the handshake is over.
// It is not for concurrent use.
type ClientHandshake struct {
	awaits     awaited
	login      Login
	extensions []byte // in the clear
	hello      [ClientHelloSize]byte
	temporary  *ecdh.PrivateKey // TCK
	helloKey   [32]byte         // between TCK and SK
	sessionKey [32]byte         // between TCK and TSK; known after the server hello
	client     direction
	server     direction
}

// NewClientHandshake draws the temporary secret key (32 bytes) and then the cookie
// (16 bytes) from rand. Errors are those of rand, an invalid identity, keys that
// are not X25519 or of low order, and a client info or extensions that do not fit.
// The extensions are copied.
func NewClientHandshake(rand io.Reader, login Login) (*ClientHandshake, error) {
	if !login.Identity.Valid() {
		return nil, errors.New("login: identity has a character other than A–Z and 0–9")
	}
	if login.Key == nil || login.Key.Curve() != ecdh.X25519() {
		return nil, errors.New("login: key is not an X25519 key")
	}
	extensions, err := encodeExtensions(login)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	temporary, err := drawKey(rand)
	if err != nil {
		return nil, err
	}
	cookie, err := drawCookie(rand)
	if err != nil {
		return nil, err
	}
	helloKey, err := sharedKey("login: server key", temporary, login.ServerKey)
	if err != nil {
		return nil, err
	}
	h := &ClientHandshake{
		awaits: awaitsServerHello, login: login, extensions: extensions,
		temporary: temporary, helloKey: helloKey, client: direction{cookie: cookie},
	}
	appendClientHello(h.hello[:0], temporary.PublicKey(), cookie)
	return h, nil
}

// encodeExtensions returns nil for a login without extensions.
func encodeExtensions(login Login) ([]byte, error) {
	if login.Extensions == nil {
		return nil, checkOldClientInfo(login.ClientInfo)
	}
	plain := login.Extensions.Append(nil)
	if size := len(plain) + BoxOverhead; size > MaxExtensionsSize {
		return nil, fmt.Errorf("extensions have %d bytes, at most %d", size, MaxExtensionsSize)
	}
	return plain, nil
}

// Hello returns the first bytes of the connection. It may be called at any time.
func (h *ClientHandshake) Hello() [ClientHelloSize]byte { return h.hello }

// Login takes the server hello, exactly 80 bytes, and returns what to send next:
// 144 bytes and, if the login has extensions, their box. An error is a server that
// does not hold the server key, or one whose cookie is the client's.
func (h *ClientHandshake) Login(hello []byte) ([]byte, error) {
	if err := h.awaits.take(awaitsServerHello); err != nil {
		return nil, err
	}
	temporaryServer, err := openServerHello(&h.server, &h.helloKey, h.client.cookie, hello)
	if err != nil {
		return nil, err
	}
	if h.sessionKey, err = sharedKey("server hello: temporary key", h.temporary, temporaryServer); err != nil {
		return nil, err
	}
	vouch, err := h.vouch(temporaryServer)
	if err != nil {
		return nil, err
	}
	h.awaits = awaitsLoginAck
	return h.sealLogin(vouch), nil
}

func (h *ClientHandshake) vouch(temporaryServer *ecdh.PublicKey) ([32]byte, error) {
	withServerKey, err := sharedKey("login: server key", h.login.Key, h.login.ServerKey)
	if err != nil {
		return [32]byte{}, err
	}
	withTemporary, err := sharedKey("server hello: temporary key", h.login.Key, temporaryServer)
	if err != nil {
		return [32]byte{}, err
	}
	return vouchOf(withServerKey, withTemporary, h.server.cookie, h.temporary.PublicKey().Bytes())
}

func (h *ClientHandshake) sealLogin(vouch [32]byte) []byte {
	data := loginData{identity: h.login.Identity, serverCookie: h.server.cookie, vouch: vouch}
	if h.login.Extensions == nil {
		data.clientInfo = h.login.ClientInfo
		plain := data.encode()
		return h.client.seal(nil, plain[:], &h.sessionKey)
	}
	data.extensionsSize = len(h.extensions) + BoxOverhead
	plain := data.encode()
	box := h.client.seal(make([]byte, 0, LoginSize+data.extensionsSize), plain[:], &h.sessionKey)
	return h.client.seal(box, h.extensions, &h.sessionKey)
}

// Finish takes the login ack, exactly 32 bytes.
func (h *ClientHandshake) Finish(ack []byte) (*Session, LoginAck, error) {
	if err := h.awaits.take(awaitsLoginAck); err != nil {
		return nil, LoginAck{}, err
	}
	if len(ack) != LoginAckSize {
		return nil, LoginAck{}, fmt.Errorf("login ack has %d bytes, want %d", len(ack), LoginAckSize)
	}
	plain, ok := h.server.open(ack, &h.sessionKey)
	if !ok {
		return nil, LoginAck{}, errors.New("login ack: box cannot be opened")
	}
	return newSession(h.sessionKey, h.client, h.server), parseLoginAck((*[loginAckDataSize]byte)(plain)), nil
}

// Format implements [fmt.Formatter] and prints no secret.
func (ClientHandshake) Format(state fmt.State, _ rune) { io.WriteString(state, "csp.ClientHandshake") }

// ServerHandshake is the server's side. Its methods are called in the order Hello,
// Login, Extensions (if the login announces any) and Authenticate in either order,
// Finish; out of order they return an error. After an error the handshake is over.
// It is not for concurrent use.
type ServerHandshake struct {
	awaits     awaited
	rand       io.Reader
	key        *ecdh.PrivateKey // SK
	temporary  *ecdh.PrivateKey // TSK
	sessionKey [32]byte         // between TSK and TCK; known after the client hello
	client     direction
	server     direction

	temporaryClient *ecdh.PublicKey // TCK
	vouch           [32]byte        // as the client has sent it
	extensionsSize  int             // of the box that is still to come; 0: none is
	authenticated   bool
}

// NewServerHandshake draws the temporary secret key (32 bytes) and then the cookie
// (16 bytes) from rand. key is the server's permanent one. Errors are those of
// rand and a key that is not X25519.
//
// rand is kept until the client hello: should the client's cookie be the same,
// another one is drawn.
func NewServerHandshake(rand io.Reader, key *ecdh.PrivateKey) (*ServerHandshake, error) {
	if key == nil || key.Curve() != ecdh.X25519() {
		return nil, errors.New("server key is not an X25519 key")
	}
	temporary, err := drawKey(rand)
	if err != nil {
		return nil, err
	}
	cookie, err := drawCookie(rand)
	if err != nil {
		return nil, err
	}
	return &ServerHandshake{
		awaits: awaitsClientHello, rand: rand, key: key, temporary: temporary, server: direction{cookie: cookie},
	}, nil
}

// Hello takes the client hello, exactly 48 bytes, and returns the 80 bytes to send.
func (h *ServerHandshake) Hello(hello []byte) ([]byte, error) {
	if err := h.awaits.take(awaitsClientHello); err != nil {
		return nil, err
	}
	var err error
	if h.temporaryClient, h.client.cookie, err = parseClientHello(hello); err != nil {
		return nil, err
	}
	helloKey, err := sharedKey("client hello: temporary key", h.key, h.temporaryClient)
	if err != nil {
		return nil, err
	}
	if h.sessionKey, err = sharedKey("client hello: temporary key", h.temporary, h.temporaryClient); err != nil {
		return nil, err
	}
	if h.server.cookie == h.client.cookie {
		if h.server.cookie, err = drawOtherCookie(h.rand, h.client.cookie); err != nil {
			return nil, err
		}
	}
	h.awaits = awaitsLogin
	return sealServerHello(&h.server, &helloKey, h.temporary.PublicKey(), h.client.cookie), nil
}

// LoginRequest is what a client says of itself. Nothing of it is proved before
// [ServerHandshake.Authenticate].
type LoginRequest struct {
	Identity       Identity // well-formed
	ExtensionsSize int      // bytes of the box that follows, 16 to 65,535; 0: none follows
	ClientInfo     string   // of an old-style login, at most 32 bytes on the wire; what is not UTF-8 is replaced by U+FFFD
}

// Login takes the first box of the login, exactly 144 bytes. Errors are a box or
// server cookie of another connection, an identity that is not well-formed and
// extensions shorter than a box.
func (h *ServerHandshake) Login(box []byte) (LoginRequest, error) {
	if err := h.awaits.take(awaitsLogin); err != nil {
		return LoginRequest{}, err
	}
	if len(box) != LoginSize {
		return LoginRequest{}, fmt.Errorf("login has %d bytes, want %d", len(box), LoginSize)
	}
	plain, ok := h.client.open(box, &h.sessionKey)
	if !ok {
		return LoginRequest{}, errors.New("login: box cannot be opened")
	}
	data, err := parseLoginData((*[loginDataSize]byte)(plain))
	if err != nil {
		return LoginRequest{}, err
	}
	if subtle.ConstantTimeCompare(data.serverCookie[:], h.server.cookie[:]) != 1 {
		return LoginRequest{}, errors.New("login: server cookie is another one")
	}
	h.vouch, h.extensionsSize = data.vouch, data.extensionsSize
	h.awaits = awaitsProof
	return LoginRequest{Identity: data.identity, ExtensionsSize: data.extensionsSize, ClientInfo: data.clientInfo}, nil
}

// Extensions takes the second box of the login, exactly as long as the login has
// announced. It is out of order if none is announced.
func (h *ServerHandshake) Extensions(box []byte) (Extensions, error) {
	if h.extensionsSize == 0 {
		return Extensions{}, errOutOfOrder
	}
	if err := h.awaits.take(awaitsProof); err != nil {
		return Extensions{}, err
	}
	if len(box) != h.extensionsSize {
		return Extensions{}, fmt.Errorf("extensions have %d bytes, announced are %d", len(box), h.extensionsSize)
	}
	plain, ok := h.client.open(box, &h.sessionKey)
	if !ok {
		return Extensions{}, errors.New("extensions: box cannot be opened")
	}
	extensions, err := ParseExtensions(plain)
	if err != nil {
		return Extensions{}, err
	}
	h.extensionsSize = 0
	h.awaits = awaitsProof
	return extensions, nil
}

// Authenticate checks whether the client holds the secret key of its identity,
// whose public key is identityKey. It takes the same time wherever a wrong vouch
// differs.
func (h *ServerHandshake) Authenticate(identityKey *ecdh.PublicKey) error {
	if h.authenticated {
		return errOutOfOrder
	}
	if err := h.awaits.take(awaitsProof); err != nil {
		return err
	}
	withServerKey, err := sharedKey("identity key", h.key, identityKey)
	if err != nil {
		return err
	}
	withTemporary, err := sharedKey("identity key", h.temporary, identityKey)
	if err != nil {
		return err
	}
	want, err := vouchOf(withServerKey, withTemporary, h.server.cookie, h.temporaryClient.Bytes())
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(want[:], h.vouch[:]) != 1 {
		return errors.New("login: vouch is wrong")
	}
	h.authenticated = true
	h.awaits = awaitsProof
	return nil
}

// Finish returns the login ack to send, 32 bytes, and the session behind it. It is
// out of order before [ServerHandshake.Authenticate], and before
// [ServerHandshake.Extensions] if the login has announced any.
func (h *ServerHandshake) Finish(ack LoginAck) ([]byte, *Session, error) {
	if !h.authenticated || h.extensionsSize > 0 {
		return nil, nil, errOutOfOrder
	}
	if err := h.awaits.take(awaitsProof); err != nil {
		return nil, nil, err
	}
	plain := ack.encode()
	box := h.server.seal(nil, plain[:], &h.sessionKey)
	return box, newSession(h.sessionKey, h.server, h.client), nil
}

// Format implements [fmt.Formatter] and prints no secret.
func (ServerHandshake) Format(state fmt.State, _ rune) { io.WriteString(state, "csp.ServerHandshake") }
