package main

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"openmediator/chatserver/directory"
	"openmediator/csp"
)

// chatServer runs a chat server with its HTTP interface, both on free ports.
func (s *shell) chatServer(args ...string) (p *process, address, url string) {
	s.t.Helper()
	p = s.start(append([]string{"chatserver", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	var line struct{ Listen string }
	if err := json.Unmarshal([]byte(p.stderr.await(s.t, `"message":"listening for HTTP"`)), &line); err != nil {
		s.t.Fatal(err)
	}
	return p, p.listening(), "http://" + line.Listen
}

// publicKey is what a chat server has printed.
func (p *process) publicKey() *ecdh.PublicKey {
	p.t.Helper()
	text, ok := strings.CutPrefix(p.stdout.await(p.t, "public key: "), "public key: ")
	key, err := directory.ParsePublicKey(text)
	if !ok || err != nil {
		p.t.Fatal(text, err)
	}
	return key
}

func newX25519(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// chatLogin logs in, and returns what the login ack says.
func chatLogin(address string, serverKey *ecdh.PublicKey, id csp.Identity, key *ecdh.PrivateKey) (csp.LoginAck, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return csp.LoginAck{}, err
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	h, err := csp.NewClientHandshake(rand.Reader, csp.Login{Identity: id, Key: key, ServerKey: serverKey})
	if err != nil {
		return csp.LoginAck{}, err
	}
	hello := h.Hello()
	nc.Write(hello[:])
	answer := make([]byte, csp.ServerHelloSize)
	if _, err := io.ReadFull(in, answer); err != nil {
		return csp.LoginAck{}, err
	}
	login, err := h.Login(answer)
	if err != nil {
		return csp.LoginAck{}, err
	}
	nc.Write(login)
	ack := make([]byte, csp.LoginAckSize)
	if _, err := io.ReadFull(in, ack); err != nil {
		return csp.LoginAck{}, err
	}
	_, result, err := h.Finish(ack)
	return result, err
}

func TestChatServerTakesIdentitiesOfTheFileAndRegisteredOnes(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	key := newX25519(t)
	identities := s.path("identities")
	writeFile(t, identities, "# test\nFILE0001 "+directory.FormatPublicKey(key.PublicKey())+"\n")
	p, address, url := s.chatServer("--data", s.path("data"), "--identities", identities)
	serverKey := p.publicKey()

	fromFile, _ := csp.ParseIdentity("FILE0001")
	if _, err := chatLogin(address, serverKey, fromFile, key); err != nil {
		t.Errorf("identity of the file: %v", err)
	}
	registered, err := directory.Register(testContext(t), url, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chatLogin(address, serverKey, registered, key); err != nil {
		t.Errorf("registered identity: %v", err)
	}
	if _, err := chatLogin(address, newX25519(t).PublicKey(), registered, key); err == nil {
		t.Error("the server has another key than it says")
	}

	writeFile(t, identities, "FILE0002 x\n")
	if line := p.stderr.await(t, "identity file is refused"); !strings.Contains(line, "line 1: public key") {
		t.Errorf("got %s", line)
	}
	if text, err := os.ReadFile(identities); err != nil || string(text) != "FILE0002 x\n" {
		t.Errorf("the file was written: %s, %v", text, err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitDone {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
	p.stderr.await(t, `"message":"stopped"`)
	if log := p.stderr.String(); strings.Contains(log, "FILE000") || strings.Contains(log, registered.String()) {
		t.Errorf("the log holds identities:\n%s", log)
	}
	writeFile(t, identities, "")
	p, address, _ = s.chatServer("--data", s.path("data"), "--identities", identities)
	if again := p.publicKey(); !again.Equal(serverKey) {
		t.Error("the server has another key after a restart")
	}
	if _, err := chatLogin(address, serverKey, registered, key); err != nil {
		t.Errorf("registered identity after a restart: %v", err)
	}
	if _, err := chatLogin(address, serverKey, fromFile, key); err == nil {
		t.Error("an identity that is not in the file any more logs in")
	}
	p.stop()
}

func TestChatServerNeedsNoConfiguration(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_CHATSERVER_LISTEN=127.0.0.1:0", "MEDIATOR_LISTEN=unix:/nowhere", "MEDIATOR_DATA=/nowhere")
	p := s.start("chatserver")
	p.listening()
	p.publicKey()
	p.stop()
	if out := p.stdout.String(); strings.Count(out, "\n") != 1 {
		t.Errorf("standard output: %s", out)
	}
	for _, name := range []string{"chatserver.db", "server.key"} {
		info, err := os.Stat(s.path(filepath.Join(".local/state/mediator/chatserver", name)))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestChatServerKeyFile(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	key := newX25519(t)
	writeFile(t, s.path("key"), strings.ToUpper(hex.EncodeToString(key.Bytes()))) // no line end
	p, _, _ := s.chatServer("--data", s.path("data"), "--key", s.path("key"))
	if !p.publicKey().Equal(key.PublicKey()) {
		t.Error("it has another key than the file")
	}
	if strings.Contains(p.stderr.String(), "chmod") {
		t.Error("it warns of a file that only its owner can read")
	}
	p.stop()
	if err := os.Chmod(s.path("key"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, _, _ = s.chatServer("--data", s.path("data"), "--key", s.path("key"))
	p.stderr.await(t, "key file can be read by others")
	p.stop()
	if out := p.stdout.String() + p.stderr.String(); bytes.Contains(bytes.ToLower([]byte(out)), []byte(hex.EncodeToString(key.Bytes()))) {
		t.Error("the secret key is printed")
	}
}

// TestChatServerRefuses: what is wrong with a start is said in one sentence that names the value and the way out.
func TestChatServerRefuses(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	running, address, url := s.chatServer("--data", s.path("data"))
	writeFile(t, s.path("file"), "")
	writeFile(t, s.path("short"), "abcd\n")
	writeFile(t, s.path("identities"), "\nAAAAAAAA\n")
	writeFile(t, s.path("foreign/chatserver.db"), strings.Repeat("no store ", 10000))
	for _, test := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"two servers on one data directory", []string{"--data", s.path("data")}, exitFailed,
			[]string{"data directory " + s.path("data") + ": in use by another chat server", "end that one, or name another directory with --data"}},
		{"data directory below a file", []string{"--data", s.path("file/data"), "--key", s.path("key")}, exitFailed,
			[]string{"data directory " + s.path("file/data"), "not a directory", "--data"}},
		{"no store", []string{"--data", s.path("foreign")}, exitFailed,
			[]string{"data directory " + s.path("foreign") + ": chatserver.db", "--data"}},
		{"port in use", []string{"--listen", address}, exitFailed,
			[]string{"listen: " + address + " is in use by another program", "choose another port with --listen"}},
		{"HTTP port in use", []string{"--http", strings.TrimPrefix(url, "http://")}, exitFailed,
			[]string{"http: ", "is in use by another program", "choose another port with --http"}},
		{"HTTP for others", []string{"--http", "0.0.0.0:0"}, exitUsage,
			[]string{"http: 0.0.0.0:0 can be reached from other machines", "--http-public"}},
		{"HTTP for all", []string{"--http", ":0"}, exitUsage, []string{"can be reached from other machines", "--http-public"}},
		{"no port", []string{"--listen", "127.0.0.1"}, exitUsage, []string{`listen: "127.0.0.1" is not HOST:PORT`}},
		{"no name", []string{"--http", "host.invalid:1"}, exitUsage, []string{"http: host.invalid:1 cannot be resolved"}},
		{"address of nobody here", []string{"--listen", "192.0.2.1:5222"}, exitFailed,
			[]string{"listen: 192.0.2.1:5222 cannot be opened", "choose another address with --listen"}},
		{"key file that holds none", []string{"--key", s.path("short")}, exitFailed,
			[]string{"key file " + s.path("short") + ": it does not hold 64 hexadecimal digits", "--key"}},
		{"empty key file", []string{"--key", s.path("file")}, exitFailed, []string{"it does not hold 64 hexadecimal digits"}},
		{"key file is a directory", []string{"--key", s.path("data")}, exitFailed, []string{"key file " + s.path("data"), "is a directory"}},
		{"no identity file", []string{"--identities", s.path("nothing")}, exitFailed,
			[]string{"identity file " + s.path("nothing") + ": no such file", "--identities"}},
		{"wrong identity file", []string{"--identities", s.path("identities")}, exitFailed,
			[]string{"identity file " + s.path("identities") + ": line 2: it has 1 words", "--identities"}},
		{"wrong level", []string{"--log-level", "loud"}, exitUsage, []string{`log-level: "loud" is not one of`}},
		{"argument", []string{"now"}, exitUsage, []string{`chatserver: "now" is one argument too many`, "see mediator chatserver --help"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"chatserver", "--listen", "127.0.0.1:0", "--log-level", "error", "--data", s.path("other")}, test.args...)
			stdout, stderr, code := s.run(args...)
			if code != test.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "mediator: ") {
				t.Errorf("exit code %d, want %d; standard output %q; standard error %q", code, test.code, stdout, stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s does not say %q", stderr, want)
				}
			}
		})
	}
	running.stop()
}

// TestChatServerHelpTeachesTheRegistration follows the protocol as --help tells it.
func TestChatServerHelpTeachesTheRegistration(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	help := s.must("chatserver", "--help")
	for _, want := range []string{
		"GET /identities/ABCD1234", "POST /identities", `"challengePublicKey"`, "curl http://127.0.0.1:5280/identities/ABCD1234",
		`salt "registration"`, `"openmediator"`, "IDENTITY PUBLICKEYHEX", "127.0.0.1:5222",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not say %q", want)
		}
	}
	p, _, url := s.chatServer("--data", s.path("data"))
	body := `{"publicKey":"` + directory.FormatPublicKey(newX25519(t).PublicKey()) + `"}`
	response, err := http.Post(url+"/identities", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var challenge directory.Challenge
	if err := json.NewDecoder(response.Body).Decode(&challenge); err != nil || len(challenge.Token) != 64 {
		t.Errorf("got %+v, %v", challenge, err)
	}
	http.DefaultClient.CloseIdleConnections()
	p.stop()
}
