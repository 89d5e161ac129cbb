package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"openmediator/certificates"
	"openmediator/client"
	"openmediator/d2m"
)

// writeCertificate writes a self-signed certificate for 127.0.0.1 and its key.
func (s *shell) writeCertificate(key *ecdsa.PrivateKey, chainFile, keyFile string, life time.Duration) *x509.Certificate {
	s.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		DNSNames:     []string{"mediator.example"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	writeFile(s.t, s.path(chainFile), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(s.t, s.path(keyFile), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	return leaf
}

func newTLSKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serveTLS starts a server with TLS on a free port.
func (s *shell) serveTLS(args ...string) (*process, string) {
	s.t.Helper()
	p := s.start(append([]string{"serve", "--listen", "wss://127.0.0.1:0", "--data", s.path("data")}, args...)...)
	return p, p.listening()
}

// shownBy is the certificate that a server shows.
func shownBy(t testing.TB, url string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(url, "wss://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// loginTLS is login at a server whose certificate nobody vouches for.
func loginTLS(t testing.TB, url string, id d2m.DeviceID) *client.Wire {
	t.Helper()
	keys := newTestKeys(t)
	full, err := client.URL(url, keys.GroupID(), client.DefaultServerGroup)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := client.Dialer{TLS: &tls.Config{InsecureSkipVerify: true}}.Dial(testContext(t), full)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wire.CloseNow)
	if _, err := wire.Login(testContext(t), keys, d2m.ClientHello{DeviceID: id}); err != nil {
		t.Fatal(err)
	}
	return wire
}

// Two devices of a group meet at a server with a development CA, which they are told to trust once.
func TestTLSDevices(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	server, url := s.serveTLS("--tls-dev")
	if !strings.HasPrefix(url, "wss://127.0.0.1:") {
		t.Fatalf("listens on %s", url)
	}
	server.stderr.await(t, "development CA: clients trust it with mediator device --tls-ca FILE")
	ca := s.path("data/tls/development-ca.pem")
	s.must("device", "new", "phone", "--server", url+"/{deviceGroupIdPrefix4}/{deviceGroupIdPrefix8}", "--tls-ca", ca)
	s.must("device", "new", "laptop", "--join", "phone")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "through TLS", "--device", "phone")
	laptop := s.listen("laptop")
	laptop.stdout.await(t, "through TLS")
	laptop.stop()

	pins := objects(t, s.must("pin", "--listen", url, "--data", s.path("data"), "--tls-dev", "--json"))[0]
	pin := pins["pin"].(string)
	if got := string(certificates.PinOf(shownBy(t, url))); got != pin {
		t.Errorf("mediator pin says %s, the server shows %s", pin, got)
	}
	if pins["ca"] != ca || pins["url"] != "wss://"+strings.TrimPrefix(url, "wss://")+"/{deviceGroupIdPrefix8}/" {
		t.Errorf("got %v", pins)
	}
	s.must("device", "devices", "--device", "phone", "--tls-pin", pin)

	s.must("device", "new", "stranger", "--server", url)
	for want, args := range map[string][]string{
		"certificate signed by unknown authority": {"--device", "stranger"},
		"is not the one that is expected":         {"--device", "phone", "--tls-pin", pins["backup_pin"].(string)},
	} {
		if _, stderr, code := s.run(append([]string{"device", "devices"}, args...)...); code != exitUnreachable || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	}

	// The backup pin holds after a rotation, while the server runs.
	rotated := objects(t, s.must("pin", "--listen", url, "--data", s.path("data"), "--tls-dev", "--rotate", "--json"))[0]
	if rotated["pin"] != pins["backup_pin"] || rotated["backup_pin"] == pins["backup_pin"] {
		t.Errorf("before %v, after %v", pins, rotated)
	}
	server.signal(syscall.SIGHUP)
	server.stderr.await(t, `"pin":"`+rotated["pin"].(string)+`"`)
	s.must("device", "devices", "--device", "phone", "--tls-pin", pins["backup_pin"].(string))
	server.stop()
}

// Files are swapped while devices reflect: their connections stay, and new handshakes see the new certificate. Files that
// cannot be used change nothing.
func TestTLSFilesAreSwappedUnderLoad(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	key := newTLSKey(t)
	first := s.writeCertificate(key, "chain.pem", "key.pem", time.Hour)
	server, url := s.serveTLS("--tls-cert", s.path("chain.pem"), "--tls-key", s.path("key.pem"))
	if !shownBy(t, url).Equal(first) {
		t.Fatal("another certificate is shown")
	}
	wires := []*client.Wire{loginTLS(t, url, 1), loginTLS(t, url, 1)}
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	load := make(chan error, len(wires))
	for _, wire := range wires {
		go func() { load <- reflectUntil(ctx, wire) }()
	}
	// TLS keeps its files by name, so that they are swapped in one step each.
	swap := func(key *ecdsa.PrivateKey, life time.Duration) *x509.Certificate {
		leaf := s.writeCertificate(key, "new-chain.pem", "new-key.pem", life)
		for _, name := range []string{"chain.pem", "key.pem"} {
			if err := os.Rename(s.path("new-"+name), s.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		server.signal(syscall.SIGHUP)
		return leaf
	}
	renewed := swap(key, 2*time.Hour)
	server.stderr.await(t, "TLS certificate replaced")
	if !shownBy(t, url).Equal(renewed) {
		t.Error("after the swap another certificate is shown")
	}
	swap(newTLSKey(t), -time.Minute)
	server.stderr.await(t, "has expired at")
	if !shownBy(t, url).Equal(renewed) {
		t.Error("an expired certificate is shown")
	}
	s.writeCertificate(newTLSKey(t), "chain.pem", "other.pem", time.Hour)
	server.signal(syscall.SIGHUP)
	server.stderr.await(t, "does not belong to the certificate")
	if !shownBy(t, url).Equal(renewed) {
		t.Error("a certificate without its key is shown")
	}
	last := swap(newTLSKey(t), time.Hour)
	server.stderr.await(t, string(certificates.PinOf(last)))
	if !shownBy(t, url).Equal(last) {
		t.Error("after the last swap another certificate is shown")
	}
	cancel()
	for range wires {
		if err := <-load; err != nil {
			t.Errorf("a device that was connected: %v", err)
		}
	}
	for _, wire := range wires {
		wire.CloseNow()
	}
	server.stop()
}

// reflectUntil reflects, one after the other, until ctx ends.
func reflectUntil(ctx context.Context, wire *client.Wire) error {
	for i := 0; ctx.Err() == nil; i++ {
		if err := wire.Send(context.Background(), d2m.Reflect{ID: d2m.ReflectID(i), Envelope: make([]byte, 20_000)}); err != nil {
			return err
		}
		for {
			m, err := wire.Receive(context.Background())
			if err != nil {
				return err
			}
			if _, ok := m.(d2m.ReflectAck); ok {
				break
			}
		}
	}
	return nil
}

// The operator's own key: the backup is used when a certificate has been made for it.
func TestPinOfFiles(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	leaf := s.writeCertificate(newTLSKey(t), "chain.pem", "key.pem", time.Hour)
	args := []string{"pin", "--listen", "wss://0.0.0.0:8443", "--data", s.path("data"), "--tls-cert", s.path("chain.pem"), "--tls-key", s.path("key.pem")}
	before := objects(t, s.must(append(args, "--json")...))[0]
	if before["pin"] != string(certificates.PinOf(leaf)) || before["url"] != "wss://mediator.example:8443/{deviceGroupIdPrefix8}/" {
		t.Errorf("got %v", before)
	}
	if again := objects(t, s.must(append(args, "--json")...))[0]; again["backup_pin"] != before["backup_pin"] {
		t.Error("the backup pin is another one")
	}
	if out := s.must(append(args, "--public-url", "wss://{deviceGroupIdPrefix4}.example.net/m")...); !strings.Contains(out, "wss://{deviceGroupIdPrefix4}.example.net/m\n") {
		t.Errorf("got %s", out)
	}
	if _, stderr, code := s.run(append(args, "--rotate")...); code != exitUsage || !strings.Contains(stderr, "have a certificate made for the key in") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(before["next_key"].(string))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	next, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.writeCertificate(next.(*ecdsa.PrivateKey), "chain.pem", "key.pem", time.Hour)
	after := objects(t, s.must(append(args, "--json")...))[0]
	if after["pin"] != before["backup_pin"] || after["backup_pin"] == before["backup_pin"] {
		t.Errorf("before %v, after %v", before, after)
	}
}

// What is wrong with the settings of TLS is said in one sentence, before anything is started.
func TestTLSRefuses(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.writeCertificate(newTLSKey(t), "chain.pem", "key.pem", time.Hour)
	s.writeCertificate(newTLSKey(t), "old.pem", "old-key.pem", -time.Minute)
	files := []string{"--tls-cert", s.path("chain.pem"), "--tls-key", s.path("key.pem")}
	for _, test := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "listen: wss:// needs a certificate: name the files with tls-cert and tls-key", []string{"--listen", "wss://127.0.0.1:0"}},
		{exitUsage, "listen: wss:// needs a certificate", []string{"--listen", "systemd+tls:"}},
		{exitUsage, "tls-cert: nothing listens with TLS", append([]string{"--listen", "127.0.0.1:0"}, files...)},
		{exitUsage, "tls-dev: contradicts tls-cert", append([]string{"--listen", "wss://127.0.0.1:0", "--tls-dev"}, files...)},
		{exitUsage, "tls-cert: belongs together with tls-key", append([]string{"--listen", "wss://127.0.0.1:0"}, files[:2]...)},
		{exitUsage, "acme-accept-terms: is not set", []string{"--listen", "wss://127.0.0.1:0", "--acme-domain", "mediator.example"}},
		{exitUsage, `acme-domain: "*.example.net" stands for many names`, []string{"--listen", "wss://127.0.0.1:0", "--acme-domain", "*.example.net"}},
		{exitUsage, `acme-email: "nobody" is not an address`, []string{"--listen", "wss://127.0.0.1:0", "--acme-domain", "a.example", "--acme-accept-terms", "--acme-email", "nobody"}},
		{exitUsage, "acme-domain: is missing", append([]string{"--listen", "wss://127.0.0.1:0", "--acme-email", "a@example.net"}, files...)},
		{exitUsage, `acme-directory: "http://ca.example" is not https://HOST`, append([]string{"--listen", "wss://127.0.0.1:0", "--acme-directory", "http://ca.example"}, files...)},
		{exitUsage, "acme-ca: " + s.path("key.pem") + " holds no certificate in PEM form", []string{"--listen", "wss://127.0.0.1:0", "--acme-domain", "a.example", "--acme-accept-terms", "--acme-ca", s.path("key.pem")}},
		{exitUsage, `unix-mode: "rw" is not permissions such as 0660`, []string{"--unix-mode", "rw"}},
		{exitFailed, "certificate " + s.path("none") + ": cannot be read", []string{"--listen", "wss://127.0.0.1:0", "--tls-cert", s.path("none"), "--tls-key", s.path("key.pem")}},
		{exitFailed, "key " + s.path("old-key.pem") + ": does not belong to", []string{"--listen", "wss://127.0.0.1:0", "--tls-cert", s.path("chain.pem"), "--tls-key", s.path("old-key.pem")}},
		{exitFailed, "has expired at", []string{"--listen", "wss://127.0.0.1:0", "--tls-cert", s.path("old.pem"), "--tls-key", s.path("old-key.pem")}},
		{exitFailed, "systemd has passed no socket; start the server by a .socket unit", []string{"--listen", "systemd:"}},
	} {
		args := append([]string{"serve", "--log-level", "error", "--data", s.path("data")}, test.args...)
		stdout, stderr, code := s.run(args...)
		if code != test.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: exit code %d, want %d; standard output %q; standard error %q, want %q", test.args, code, test.code, stdout, stderr, test.want)
		}
	}
}
