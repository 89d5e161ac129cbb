package csp

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// vectorFile is testdata/csp.json: a session made by another implementation.
type vectorFile struct {
	About   string `json:"about"`
	Secrets struct {
		ServerSecret          hexBytes `json:"server_key_secret"`
		ServerPublic          hexBytes `json:"server_key_public"`
		ClientSecret          hexBytes `json:"client_key_secret"`
		ClientPublic          hexBytes `json:"client_key_public"`
		TemporaryClientSecret hexBytes `json:"temporary_client_key_secret"`
		TemporaryClientPublic hexBytes `json:"temporary_client_key_public"`
		TemporaryServerSecret hexBytes `json:"temporary_server_key_secret"`
		TemporaryServerPublic hexBytes `json:"temporary_server_key_public"`
		ClientCookie          hexBytes `json:"client_cookie"`
		ServerCookie          hexBytes `json:"server_cookie"`
		Identity              string   `json:"identity"`
		ClientInfo            string   `json:"client_info"`
		DeviceID              DeviceID `json:"csp_device_id,string"`
		DeviceCookie          hexBytes `json:"device_cookie"`
	} `json:"secrets"`
	Derived struct {
		SessionKey hexBytes `json:"session_key"`
		VouchKey   hexBytes `json:"vouch_key"`
		Vouch      hexBytes `json:"vouch"`
		Extensions hexBytes `json:"extensions_plain"`
		LoginData  hexBytes `json:"login_data_plain"`
		LoginAck   hexBytes `json:"login_ack_plain"`
	} `json:"derived"`
	Handshake struct {
		ClientHello hexBytes `json:"client_hello"`
		ServerHello hexBytes `json:"server_hello"`
		Login       hexBytes `json:"login"`
		LoginAck    hexBytes `json:"login_ack"`
	} `json:"handshake"`
	LoginWithoutExtensions hexBytes        `json:"login_without_extensions"`
	Payloads               []payloadVector `json:"payloads"`
	MessageCrypto          struct {
		SenderSecret   hexBytes `json:"sender_key_secret"`
		ReceiverPublic hexBytes `json:"receiver_key_public"`
		ReceiverSecret hexBytes `json:"receiver_key_secret"`
		SharedKey      hexBytes `json:"shared_key"`
		MetadataKey    hexBytes `json:"metadata_key"`
		Nonce          hexBytes `json:"nonce"`
		Plain          hexBytes `json:"plain"`
		MetadataPlain  hexBytes `json:"metadata_plain"`
	} `json:"message_crypto"`
}

type payloadVector struct {
	Direction string      `json:"direction"`
	Sequence  uint64      `json:"sequence"`
	Type      PayloadType `json:"type"`
	Name      string      `json:"name"`
	Data      hexBytes    `json:"data"`
	Frame     hexBytes    `json:"frame"`
}

const (
	clientToServer = "client to server"
	serverToClient = "server to client"
)

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func readVectors(t testing.TB) (v vectorFile) {
	t.Helper()
	data, err := os.ReadFile("testdata/csp.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func secretKey(t testing.TB, secret []byte) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t testing.TB, public []byte) *ecdh.PublicKey {
	t.Helper()
	key, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// source yields the parts, one after the other.
func source(parts ...[]byte) *bytes.Reader { return bytes.NewReader(bytes.Join(parts, nil)) }

// login is the client's with all extensions.
func (v vectorFile) login(t testing.TB) Login {
	t.Helper()
	identity, err := ParseIdentity(v.Secrets.Identity)
	if err != nil {
		t.Fatal(err)
	}
	cookie := Cookie(v.Secrets.DeviceCookie)
	return Login{
		Identity:  identity,
		Key:       secretKey(t, v.Secrets.ClientSecret),
		ServerKey: publicKey(t, v.Secrets.ServerPublic),
		Extensions: &Extensions{
			ClientInfo: v.Secrets.ClientInfo, DeviceID: &v.Secrets.DeviceID,
			Features: FeatureMetadata | FeatureEcho, DeviceCookie: &cookie,
		},
	}
}

// client is one whose random source yields the secrets and nothing more.
func (v vectorFile) client(t testing.TB, login Login) *ClientHandshake {
	t.Helper()
	client, err := NewClientHandshake(source(v.Secrets.TemporaryClientSecret, v.Secrets.ClientCookie), login)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// server is one whose random source yields the secrets and nothing more.
func (v vectorFile) server(t testing.TB) *ServerHandshake {
	t.Helper()
	key := secretKey(t, v.Secrets.ServerSecret)
	server, err := NewServerHandshake(source(v.Secrets.TemporaryServerSecret, v.Secrets.ServerCookie), key)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// sessions are the two sides after the whole handshake, from the file's bytes.
func (v vectorFile) sessions(t testing.TB) (client, server *Session) {
	t.Helper()
	c, s := v.client(t, v.login(t)), v.server(t)
	if _, err := c.Login(v.Handshake.ServerHello); err != nil {
		t.Fatal(err)
	}
	client, ack, err := c.Finish(v.Handshake.LoginAck)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hello(v.Handshake.ClientHello); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Login(v.Handshake.Login[:LoginSize]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Extensions(v.Handshake.Login[LoginSize:]); err != nil {
		t.Fatal(err)
	}
	if err := s.Authenticate(publicKey(t, v.Secrets.ClientPublic)); err != nil {
		t.Fatal(err)
	}
	if _, server, err = s.Finish(ack); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) || len(want) == 0 {
		t.Errorf("%s is\n%x, want\n%x", what, got, want)
	}
}

func TestVectorPublicKeys(t *testing.T) {
	v := readVectors(t)
	for _, pair := range []struct {
		name           string
		secret, public []byte
	}{
		{"server key", v.Secrets.ServerSecret, v.Secrets.ServerPublic},
		{"client key", v.Secrets.ClientSecret, v.Secrets.ClientPublic},
		{"temporary client key", v.Secrets.TemporaryClientSecret, v.Secrets.TemporaryClientPublic},
		{"temporary server key", v.Secrets.TemporaryServerSecret, v.Secrets.TemporaryServerPublic},
		{"receiver's key", v.MessageCrypto.ReceiverSecret, v.MessageCrypto.ReceiverPublic},
		{"sender's key", v.MessageCrypto.SenderSecret, v.Secrets.ClientPublic},
	} {
		equal(t, pair.name, secretKey(t, pair.secret).PublicKey().Bytes(), pair.public)
	}
}

func TestVectorClientHandshake(t *testing.T) {
	v := readVectors(t)
	client := v.client(t, v.login(t))
	hello := client.Hello()
	equal(t, "client hello", hello[:], v.Handshake.ClientHello)
	login, err := client.Login(v.Handshake.ServerHello)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login", login, v.Handshake.Login)
	equal(t, "session key", client.sessionKey[:], v.Derived.SessionKey)
	session, ack, err := client.Finish(v.Handshake.LoginAck)
	if err != nil {
		t.Fatal(err)
	}
	plain := ack.encode()
	equal(t, "login ack in the clear", plain[:], v.Derived.LoginAck)
	if session.out.boxes != 2 || session.in.boxes != 2 {
		t.Errorf("boxes so far are %d out, %d in, want 2 each", session.out.boxes, session.in.boxes)
	}
}

func TestVectorServerHandshake(t *testing.T) {
	v := readVectors(t)
	login := v.login(t)
	server := v.server(t)
	hello, err := server.Hello(v.Handshake.ClientHello)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "server hello", hello, v.Handshake.ServerHello)
	equal(t, "session key", server.sessionKey[:], v.Derived.SessionKey)
	request, err := server.Login(v.Handshake.Login[:LoginSize])
	if err != nil {
		t.Fatal(err)
	}
	if want := (LoginRequest{Identity: login.Identity, ExtensionsSize: len(v.Handshake.Login) - LoginSize}); request != want {
		t.Errorf("request is %+v, want %+v", request, want)
	}
	equal(t, "vouch", server.vouch[:], v.Derived.Vouch)
	extensions, err := server.Extensions(v.Handshake.Login[LoginSize:])
	if err != nil {
		t.Fatal(err)
	}
	sameExtensions(t, extensions, *login.Extensions)
	if err := server.Authenticate(login.Key.PublicKey()); err != nil {
		t.Fatal(err)
	}
	ack, session, err := server.Finish(parseLoginAck((*[16]byte)(v.Derived.LoginAck)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login ack", ack, v.Handshake.LoginAck)
	if session.out.boxes != 2 || session.in.boxes != 2 {
		t.Errorf("boxes so far are %d out, %d in, want 2 each", session.out.boxes, session.in.boxes)
	}
}

func TestVectorDerived(t *testing.T) {
	v := readVectors(t)
	login := v.login(t)
	equal(t, "extensions", login.Extensions.Append(nil), v.Derived.Extensions)
	parsed, err := ParseExtensions(v.Derived.Extensions)
	if err != nil {
		t.Fatal(err)
	}
	sameExtensions(t, parsed, *login.Extensions)

	withServerKey, err := sharedKey("key", login.Key, login.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	withTemporary, err := sharedKey("key", login.Key, publicKey(t, v.Secrets.TemporaryServerPublic))
	if err != nil {
		t.Fatal(err)
	}
	key, err := vouchKey(withServerKey, withTemporary)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "vouch key", key[:], v.Derived.VouchKey)
	cookie := Cookie(v.Secrets.ServerCookie)
	vouch, err := vouchOf(withServerKey, withTemporary, cookie, v.Secrets.TemporaryClientPublic)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "vouch", vouch[:], v.Derived.Vouch)

	data := loginData{identity: login.Identity, extensionsSize: len(v.Derived.Extensions) + 16, serverCookie: cookie, vouch: vouch}
	plain := data.encode()
	equal(t, "login data", plain[:], v.Derived.LoginData)
	if got, err := parseLoginData((*[128]byte)(v.Derived.LoginData)); err != nil || got != data {
		t.Errorf("login data is %+v (%v), want %+v", got, err, data)
	}
	ack := LoginAck{
		Time:   binary.LittleEndian.Uint64(v.Derived.LoginAck[4:]),
		Queued: uint32(v.Derived.LoginAck[12]),
	}
	if got := parseLoginAck((*[16]byte)(v.Derived.LoginAck)); got != ack || ack.Queued != 2 || ack.Time/1e12 != 1 {
		t.Errorf("login ack is %+v, want %+v", got, ack)
	}
}

// The client info of this login is nowhere else in the file.
func TestVectorLoginWithoutExtensions(t *testing.T) {
	v := readVectors(t)
	login := v.login(t)
	login.Extensions = nil
	login.ClientInfo = "1.0;A;en/US;Pixel;9"
	client := v.client(t, login)
	got, err := client.Login(v.Handshake.ServerHello)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login", got, v.LoginWithoutExtensions)

	server := v.server(t)
	if _, err := server.Hello(v.Handshake.ClientHello); err != nil {
		t.Fatal(err)
	}
	request, err := server.Login(v.LoginWithoutExtensions)
	if err != nil {
		t.Fatal(err)
	}
	if want := (LoginRequest{Identity: login.Identity, ClientInfo: login.ClientInfo}); request != want {
		t.Errorf("request is %+v, want %+v", request, want)
	}
	if err := server.Authenticate(publicKey(t, v.Secrets.ClientPublic)); err != nil {
		t.Fatal(err)
	}
	ack, session, err := server.Finish(parseLoginAck((*[16]byte)(v.Derived.LoginAck)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login ack", ack, v.Handshake.LoginAck)
	if session.in.boxes != 1 {
		t.Errorf("client has sent %d boxes, want 1", session.in.boxes)
	}
}

// Both sides seal and open all frames, in sequence.
func TestVectorPayloads(t *testing.T) {
	v := readVectors(t)
	client, server := v.sessions(t)
	count := map[string]int{}
	for _, p := range v.Payloads {
		count[p.Direction]++
		from, to := client, server
		if p.Direction == serverToClient {
			from, to = server, client
		}
		if next := from.out.boxes + 1; next != p.Sequence {
			t.Errorf("%s: sequence number is %d, want %d", p.Name, next, p.Sequence)
		}
		frame, err := from.Seal(nil, Payload{Type: p.Type, Data: p.Data})
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		equal(t, p.Name, frame, p.Frame)
		got, err := to.Open(p.Frame[2:])
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if got.Type != p.Type || !bytes.Equal(got.Data, p.Data) {
			t.Errorf("%s: opened %+v", p.Name, got)
		}
	}
	if count[clientToServer] != 5 || count[serverToClient] != 4 || len(count) != 2 {
		t.Errorf("frames are %v", count)
	}
}

// What the data of the payloads means, parsed and made again.
func TestVectorPayloadData(t *testing.T) {
	v := readVectors(t)
	seen := map[PayloadType]int{}
	for _, p := range v.Payloads {
		seen[p.Type]++
		if again := encodedAgain(t, v, p); !bytes.Equal(again, p.Data) {
			t.Errorf("%s: encoded %x, want %x", p.Name, again, []byte(p.Data))
		}
		if name := p.Type.String(); p.Type != OutgoingMessageAck && !strings.HasPrefix(p.Name, name) {
			t.Errorf("type 0x%02x is named %q, the vector %q", uint8(p.Type), name, p.Name)
		}
	}
	for _, kind := range []PayloadType{SetIdleTimeout, OutgoingMessage, OutgoingMessageAck, CloseError} {
		if seen[kind] == 0 {
			t.Errorf("no %v among the vectors", kind)
		}
	}
}

const vectorMessageID MessageID = 0xaabbccddeeff0011

func encodedAgain(t *testing.T, v vectorFile, p payloadVector) []byte {
	t.Helper()
	switch p.Type {
	case SetIdleTimeout:
		timeout, err := ParseIdleTimeout(p.Data)
		if err != nil || timeout != 30 {
			t.Errorf("idle timeout is %d (%v), want 30", timeout, err)
		}
		return timeout.Append(nil)
	case OutgoingMessage:
		return checkVectorMessage(t, v, p)
	case OutgoingMessageAck:
		ack, err := ParseMessageAck(p.Data)
		if err != nil || ack != (MessageAck{Identity: Identity([]byte("PEER0001")), ID: vectorMessageID}) {
			t.Errorf("ack is %+v (%v)", ack, err)
		}
		return ack.Append(nil)
	case CloseError:
		closed, err := ParseClosed(p.Data)
		if err != nil || closed != (Closed{MayReconnect: true, Text: "bye"}) {
			t.Errorf("close error is %+v (%v)", closed, err)
		}
		return closed.Append(nil)
	}
	return p.Data
}

// checkVectorMessage looks at all fields and both boxes, from either end.
func checkVectorMessage(t *testing.T, v vectorFile, p payloadVector) []byte {
	t.Helper()
	m, err := ParseMessage(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	wantTime := uint32(1_700_000_000)
	if strings.Contains(p.Name, "created-at 0") {
		wantTime = 0
	}
	if m.Sender.String() != "ECHOECHO" || m.Receiver.String() != "PEER0001" || m.ID != vectorMessageID ||
		m.CreatedAt != wantTime || m.Flags != FlagPush || m.Nickname != [32]byte{} {
		t.Errorf("message is %+v", m)
	}
	c := v.MessageCrypto
	equal(t, "nonce", m.Nonce[:], c.Nonce)

	sender, receiver := secretKey(t, c.SenderSecret), secretKey(t, c.ReceiverSecret)
	padding := c.Plain[len(c.Plain)-1]
	kind, body := c.Plain[0], c.Plain[1:len(c.Plain)-int(padding)]
	box, err := SealMessage(source([]byte{padding}), sender, publicKey(t, c.ReceiverPublic), m.Nonce, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "message box", box, m.Box)
	metadata, err := SealMetadata(sender, receiver.PublicKey(), m.Nonce, c.MetadataPlain)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "metadata box", metadata, m.Metadata)

	gotKind, gotBody, err := OpenMessage(receiver, sender.PublicKey(), m.Nonce, m.Box)
	if err != nil || gotKind != KindText || string(gotBody) != "hello" {
		t.Errorf("message is of kind %d: %q (%v)", gotKind, gotBody, err)
	}
	plain, err := OpenMetadata(receiver, sender.PublicKey(), m.Nonce, m.Metadata)
	if err != nil || !bytes.Equal(plain, c.MetadataPlain) {
		t.Errorf("metadata is %q (%v)", plain, err)
	}
	data, err := m.Append(nil)
	if err != nil {
		t.Error(err)
	}
	return data
}

func TestVectorMessageKeys(t *testing.T) {
	c := readVectors(t).MessageCrypto
	sender, receiver := secretKey(t, c.SenderSecret), secretKey(t, c.ReceiverSecret)
	for name, pair := range map[string]struct {
		own   *ecdh.PrivateKey
		other *ecdh.PublicKey
	}{
		"sender's":   {sender, receiver.PublicKey()},
		"receiver's": {receiver, sender.PublicKey()},
	} {
		shared, err := sharedKey("key", pair.own, pair.other)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+" shared key", shared[:], c.SharedKey)
		metadata, err := metadataKey(pair.own, pair.other)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+" metadata key", metadata[:], c.MetadataKey)
	}
}

func sameExtensions(t *testing.T, got, want Extensions) {
	t.Helper()
	if got.ClientInfo != want.ClientInfo || got.Features != want.Features {
		t.Errorf("extensions are %+v, want %+v", got, want)
	}
	if !same(got.DeviceID, want.DeviceID) {
		t.Errorf("device id is %v, want %v", got.DeviceID, want.DeviceID)
	}
	if !same(got.DeviceCookie, want.DeviceCookie) {
		t.Error("device cookie is another one")
	}
}

// same compares what may be missing.
func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
