//go:build integration

package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/serverprocess"
)

// What stands in docs/reverse-proxies.md, and where its snippets listen and connect to. Each test has a network of its own, so
// the ports can be what they are.
const (
	frontendHost   = "mediator.example.org"
	frontendIP     = "203.0.113.1"
	frontendPort   = "443"
	behindFrontend = "127.0.0.1:8440"
)

// The addresses of clients.
const (
	firstClient  = "203.0.113.10"
	secondClient = "203.0.113.20"
	greedyClient = "203.0.113.66"
)

// idleTime is how long connections are left alone. It is longer than what proxies have by default for a connection.
const idleTime = 2 * time.Minute

// TestFrontends runs the real server behind the proxies of docs/reverse-proxies.md, as that says.
func TestFrontends(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	snippets := readSnippets(t, "../../docs/reverse-proxies.md")
	for _, c := range []struct {
		name    string
		snippet string
		args    []string // of the server
		start   func(*frontend, string) *exec.Cmd
	}{
		{"nginx", snippets["nginx"][0], []string{"--trusted-proxies", "127.0.0.1"}, (*frontend).nginx},
		{"Caddy", snippets["caddyfile"][0], []string{"--trusted-proxies", "127.0.0.1"}, (*frontend).caddy},
		{"HAProxy", snippets["haproxy"][0], []string{"--trusted-proxies", "127.0.0.1"}, (*frontend).haproxy},
		{"HAProxy, PROXY protocol", snippets["haproxy"][1], []string{"--proxy-protocol-from", "127.0.0.1"}, (*frontend).haproxy},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFrontend(t, binary, c.args)
			f.run(func() *exec.Cmd { return c.start(f, c.snippet) })
		})
	}
}

// readSnippets returns the code of a Markdown file, by its language.
func readSnippets(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	snippets := make(map[string][]string)
	for i, part := range strings.Split(string(text), "```") {
		if i%2 == 1 {
			language, code, _ := strings.Cut(part, "\n")
			snippets[language] = append(snippets[language], code)
		}
	}
	return snippets
}

// frontend is a server and the proxy before it, in a network of their own.
type frontend struct {
	t     *testing.T
	ctx   context.Context
	dir   string
	here  *namespace
	roots *x509.CertPool
}

func newFrontend(t *testing.T, binary string, args []string) *frontend {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), idleTime+2*time.Minute)
	t.Cleanup(cancel)
	f := &frontend{t: t, ctx: ctx, dir: t.TempDir(), here: newNamespace(t)}
	for _, ip := range []string{frontendIP, firstClient, secondClient, greedyClient} {
		f.here.ip(t, "address", "add", ip+"/32", "dev", "lo")
	}
	f.makeCertificate()
	serve := exec.Command(binary, append([]string{
		"serve", "--data", filepath.Join(f.dir, "data"), "--config", "", "--max-address-unauthenticated", "3",
	}, args...)...)
	f.here.start(t, serve)
	f.await(behindFrontend)
	return f
}

// makeCertificate writes a certificate with its key, as the proxies want them.
func (f *frontend) makeCertificate() {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{frontendHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	f.write("cert.pem", string(certificate))
	f.write("key.pem", string(inPEM))
	f.write("both.pem", string(certificate)+string(inPEM))
	f.roots = x509.NewCertPool()
	f.roots.AppendCertsFromPEM(certificate)
}

func (f *frontend) path(name string) string { return filepath.Join(f.dir, name) }

func (f *frontend) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// with puts something of this test in the place of what a snippet has.
func (f *frontend) with(snippet string, pairs ...string) string {
	f.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(snippet, pairs[i]) != 1 {
			f.t.Fatalf("snippet has no %q:\n%s", pairs[i], snippet)
		}
		snippet = strings.Replace(snippet, pairs[i], pairs[i+1], 1)
	}
	return snippet
}

func (f *frontend) nginx(snippet string) *exec.Cmd {
	f.write("nginx.conf", fmt.Sprintf("user root;\nmaster_process off;\npid %s;\nevents {}\nhttp {\n%s}\n", f.path("nginx.pid"),
		f.with(snippet, "/etc/ssl/mediator.pem", f.path("cert.pem"), "/etc/ssl/mediator.key", f.path("key.pem"))))
	return exec.Command("nginx", "-e", "stderr", "-c", f.path("nginx.conf"), "-g", "daemon off;")
}

// caddy has no authority that gives certificates here.
func (f *frontend) caddy(snippet string) *exec.Cmd {
	f.write("Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+f.with(snippet,
		frontendHost+" {\n", fmt.Sprintf("%s {\n\ttls %s %s\n", frontendHost, f.path("cert.pem"), f.path("key.pem"))))
	command := exec.Command("caddy", "run", "--config", f.path("Caddyfile"), "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+f.dir, "XDG_DATA_HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir)
	return command
}

func (f *frontend) haproxy(snippet string) *exec.Cmd {
	f.write("haproxy.cfg", f.with(snippet, "/etc/haproxy/mediator.pem", f.path("both.pem")))
	return exec.Command("haproxy", "-db", "-q", "-f", f.path("haproxy.cfg"))
}

// await waits until something listens at an address.
func (f *frontend) await(address string) {
	f.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := f.here.dial(f.ctx, address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			f.t.Fatalf("nothing listens at %s: %v", address, err)
		}
	}
}

// dialer connects from an address to the proxy, whatever it is asked for.
func (f *frontend) dialer(from string) client.Dialer {
	return client.Dialer{
		TLS: &tls.Config{RootCAs: f.roots},
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			f.here.do(func() { conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(frontendIP, frontendPort)) })
			return conn, err
		},
	}
}

// member is a device that is connected through the proxy.
type member struct {
	*client.Device
	received     chan string
	disconnected chan error
	connected    chan struct{}
}

func (f *frontend) connect(from string, keys *devicekeys.Keys, id d2m.DeviceID) *member {
	f.t.Helper()
	m := &member{received: make(chan string, 10), disconnected: make(chan error, 100), connected: make(chan struct{}, 100)}
	var err error
	m.Device, err = client.Connect(f.ctx, client.Config{
		URL: "wss://" + frontendHost + "/some/base", Dialer: f.dialer(from), Keys: keys, DeviceID: id,
		Receive: func(_ context.Context, message client.Message) error {
			m.received <- message.Envelope.Text
			return nil
		},
		OnConnected:    func(d2m.ServerInfo) { m.connected <- struct{}{} },
		OnDisconnected: func(err error, _ time.Duration) { m.disconnected <- err },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(m.Close)
	<-m.connected
	return m
}

// exchange has each of two devices reflect a text to the other.
func (f *frontend) exchange(a, b *member, text string) {
	f.t.Helper()
	for _, pair := range [][2]*member{{a, b}, {b, a}} {
		if _, err := pair[0].Reflect(f.ctx, devicekeys.Envelope{Text: text}); err != nil {
			f.t.Fatal(err)
		}
		select {
		case got := <-pair[1].received:
			if got != text {
				f.t.Fatalf("received %d bytes, not the %d that were reflected", len(got), len(text))
			}
		case <-f.ctx.Done():
			f.t.Fatal("message does not arrive")
		}
	}
}

// run has devices live through what happens to a proxy.
func (f *frontend) run(command func() *exec.Cmd) {
	proxy := command()
	f.here.start(f.t, proxy)
	f.await(net.JoinHostPort(frontendIP, frontendPort))
	keys, err := devicekeys.FromGroupKey([32]byte{1})
	if err != nil {
		f.t.Fatal(err)
	}
	a, b := f.connect(firstClient, keys, 1), f.connect(secondClient, keys, 2)
	f.exchange(a, b, strings.Repeat("large ", 10_000))
	f.isCountedByClient(keys.GroupID())

	idle := time.NewTimer(idleTime)
	select {
	case <-idle.C:
	case err := <-a.disconnected:
		f.t.Fatalf("an idle connection was lost: %v", err)
	case err := <-b.disconnected:
		f.t.Fatalf("an idle connection was lost: %v", err)
	}
	f.exchange(a, b, "after two minutes of silence")

	proxy.Process.Kill()
	proxy.Wait()
	<-a.disconnected
	<-b.disconnected
	f.here.start(f.t, command())
	for _, m := range []*member{a, b} {
		select {
		case <-m.connected:
		case <-f.ctx.Done():
			f.t.Fatal("a device does not come back after the proxy has been started again")
		}
	}
	f.exchange(a, b, "after the proxy was started again")
}

// isCountedByClient opens connections that do not log in: one client is refused at its limit, another one is not.
func (f *frontend) isCountedByClient(group d2m.GroupID) {
	f.t.Helper()
	url, err := client.URL("wss://"+frontendHost, group, "0")
	if err != nil {
		f.t.Fatal(err)
	}
	refused := 0
	for range 5 {
		wire, err := f.dialer(greedyClient).Dial(f.ctx, url)
		var unreachable *client.UnreachableError
		switch {
		case err == nil:
			defer wire.CloseNow()
		case errors.As(err, &unreachable) && unreachable.Status == http.StatusTooManyRequests:
			refused++
		default:
			f.t.Fatal(err)
		}
	}
	if refused != 2 {
		f.t.Errorf("%d of 5 connections of one client were refused, want 2", refused)
	}
	wire, err := f.dialer(secondClient).Dial(f.ctx, url)
	if err != nil {
		f.t.Fatalf("another client: %v", err)
	}
	wire.CloseNow()
}
