package acmetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

const (
	domain = "mediator.example"
	second = "mediator.example.net"

	// lifetime of certificates. When a third of it is left they are renewed: the server looks every ten seconds, and an order
	// in which nonces are refused takes as long again.
	lifetime = 90 * time.Second
	patience = 2 * lifetime
)

// authority is Pebble, and a DNS server by which all names lead to this machine.
type authority struct {
	server *httptest.Server
	front  *ca.CAImpl
	file   string // its HTTPS certificate
	root   string // file of the root of the certificates that it makes
}

// startAuthority runs Pebble, which looks for the server that asks at a port.
func startAuthority(t *testing.T, port int) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "20") // percent: a client has to be ready for that
	names := freePort(t)
	resolver, err := challtestsrv.New(challtestsrv.Config{
		DNSAddrs: []string{fmt.Sprintf("127.0.0.1:%d", names)}, Log: log.New(io.Discard, "", 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	resolver.SetDefaultDNSIPv4("127.0.0.1")
	resolver.SetDefaultDNSIPv6("")
	go resolver.Run()
	t.Cleanup(resolver.Shutdown)

	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(lifetime / time.Second)}}
	a := &authority{front: ca.New(quiet, store, "", "ecdsa", 0, 1, profiles)}
	validation := va.New(quiet, 1, port, true, fmt.Sprintf("127.0.0.1:%d", names), store)
	handler := wfe.New(quiet, store, validation, a.front, []string{"pebble.example"}, true, false, 1, 1)
	a.server = httptest.NewTLSServer(handler.Handler())
	t.Cleanup(a.server.Close)

	dir := t.TempDir()
	a.file, a.root = filepath.Join(dir, "authority.pem"), filepath.Join(dir, "root.pem")
	write(t, a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw}))
	write(t, a.root, a.front.GetRootCert(0).PEM())
	return a
}

func (a *authority) directory() string { return a.server.URL + wfe.DirectoryPath }

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// mediator is the program, with what it needs to know.
type mediator struct {
	t       *testing.T
	program string
	data    string
	port    int
	tls     []string // flags
	ca      *authority
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mediator")
	command := exec.Command("go", "build", "-o", program, "./cmd/mediator")
	command.Dir = "../.."
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return program
}

// process is a server that runs.
type process struct {
	*exec.Cmd
	t *testing.T

	mu      sync.Mutex
	log     bytes.Buffer
	changed chan struct{} // closed and replaced when the log has grown
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.log.Write(b)
}

func (p *process) text() string {
	text, _ := p.look()
	return text
}

func (p *process) look() (text string, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String(), p.changed
}

// await waits until the log has a text.
func (p *process) await(text string) {
	p.t.Helper()
	late := time.After(patience)
	for {
		all, changed := p.look()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-changed:
		case <-late:
			p.t.Fatalf("the log does not say %q:\n%s", text, all)
		}
	}
}

func (m *mediator) serve() *process {
	m.t.Helper()
	args := append([]string{"serve", "--config=", "--data", m.data, "--listen", fmt.Sprintf("wss://127.0.0.1:%d", m.port)}, m.tls...)
	p := &process{Cmd: exec.Command(m.program, args...), t: m.t, changed: make(chan struct{})}
	p.Stderr = p
	if err := p.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	p.await(`"listening"`)
	return p
}

func (p *process) stop() {
	p.t.Helper()
	p.Process.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		p.t.Errorf("%v\n%s", err, p.text())
	}
}

// run runs a command to its end.
func (m *mediator) run(args ...string) string {
	m.t.Helper()
	command := exec.Command(m.program, args...)
	command.Env = append(os.Environ(), "MEDIATOR_CONFIG=")
	text, err := command.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%q: %v\n%s", args, err, text)
	}
	return string(text)
}

type pins struct {
	Pin, URL string
	Backup   string `json:"backup_pin"`
}

func (m *mediator) pins(more ...string) (p pins) {
	m.t.Helper()
	args := append([]string{"pin", "--json", "--data", m.data, "--listen", "wss://:443"}, m.tls...)
	if err := json.Unmarshal([]byte(m.run(append(args, more...)...)), &p); err != nil {
		m.t.Fatal(err)
	}
	return p
}

// shown is the certificate that the server shows to clients that know the authority.
func (m *mediator) shown(name string) *x509.Certificate {
	m.t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(m.ca.root)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		m.t.Fatal(err)
	}
	c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port), &tls.Config{RootCAs: roots, ServerName: name})
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// A certificate is obtained, kept over a restart, renewed with the same key, and replaced with the key that was announced.
func TestACME(t *testing.T) {
	port := freePort(t)
	m := &mediator{t: t, program: build(t), data: filepath.Join(t.TempDir(), "data"), port: port, ca: startAuthority(t, port)}
	m.tls = []string{"--acme-domain", domain, "--acme-domain", second, "--acme-accept-terms", "--acme-email", "you@example.net",
		"--acme-directory", m.ca.directory(), "--acme-ca", m.ca.file}
	before := m.pins() // before the first start
	if before.URL != "wss://"+domain+"/{deviceGroupIdPrefix8}/" {
		t.Errorf("URL is %s", before.URL)
	}

	p := m.serve()
	p.await("TLS certificate obtained")
	first := m.shown(domain)
	if !strings.Contains(p.text(), before.Pin) || m.shown(second).SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Errorf("want one certificate for both names, with the pin %s:\n%s", before.Pin, p.text())
	}
	p.stop()
	m.checkFiles()

	p = m.serve()
	if again := m.shown(domain); !again.Equal(first) {
		t.Error("after a restart another certificate is shown")
	}
	device := filepath.Join(t.TempDir(), "phone")
	m.run("device", "new", device, "--server", fmt.Sprintf("wss://localhost:%d", port))
	p.await("TLS certificate obtained") // a renewal, in time
	if renewed := m.shown(domain); renewed.Equal(first) || !bytes.Equal(renewed.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Error("the renewed certificate is the old one, or has another key")
	}
	if time.Now().After(first.NotAfter) {
		t.Error("it was renewed too late")
	}

	after := m.pins("--rotate")
	if after.Pin != before.Backup {
		t.Errorf("before %+v, after %+v", before, after)
	}
	p.Process.Signal(syscall.SIGHUP)
	p.await(`"pin":"` + before.Backup + `"`)
	if rotated := m.shown(domain); bytes.Equal(rotated.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Error("the key is the old one after a rotation")
	}
	p.stop()
}

// checkFiles fails if another user can read a key.
func (m *mediator) checkFiles() {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.data, "tls", "*"))
	if err != nil || len(files) < 4 {
		m.t.Errorf("%q, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			m.t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// Without the authority the server starts, says why it has no certificate, and gets one when it can be had.
func TestAuthorityIsAway(t *testing.T) {
	port := freePort(t)
	m := &mediator{t: t, program: build(t), data: filepath.Join(t.TempDir(), "data"), port: port, ca: startAuthority(t, port)}
	away := freePort(t)
	m.tls = []string{"--acme-domain", domain, "--acme-accept-terms", "--acme-directory", fmt.Sprintf("https://127.0.0.1:%d/dir", away),
		"--acme-ca", m.ca.file}
	p := m.serve()
	p.await("TLS certificate could not be obtained")
	if !strings.Contains(p.text(), "connection refused") {
		t.Errorf("log:\n%s", p.text())
	}
	if _, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a certificate is shown")
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", away))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{Handler: m.ca.server.Config.Handler, TLSConfig: m.ca.server.TLS}
	go proxy.ServeTLS(l, "", "")
	defer proxy.Close()
	p.Process.Signal(syscall.SIGHUP)
	p.await("TLS certificate obtained")
	m.shown(domain)
	p.stop()
}

// A name that leads to another server: the authority's words are in the log.
func TestNameLeadsElsewhere(t *testing.T) {
	port := freePort(t)
	m := &mediator{t: t, program: build(t), data: filepath.Join(t.TempDir(), "data"), port: port, ca: startAuthority(t, stranger(t))}
	m.tls = []string{"--acme-domain", domain, "--acme-accept-terms", "--acme-directory", m.ca.directory(), "--acme-ca", m.ca.file}
	p := m.serve()
	p.await("the authority has not found this server at port 443")
	p.stop()
}

// stranger is a TLS server that knows nothing of ACME. It returns its port.
func stranger(t *testing.T) int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{domain}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	return l.Addr().(*net.TCPAddr).Port
}
