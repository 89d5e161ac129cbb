//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/internal/serverprocess"
)

// Addresses of this machine: the SOCKS proxy goes out from the one, and the chat server's name stands for the other.
const (
	socksAddress = "127.0.3.1"
	chatAddress  = "127.0.4.1"
)

// TestB39_ThroughSOCKS shows the real server with a real SOCKS proxy: the chat server's name is one that only the proxy can
// resolve, the chat server sees the proxy, and without the proxy nothing goes out.
func TestB39_ThroughSOCKS(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	chat, err := net.Listen("tcp", net.JoinHostPort(chatAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	proxy := startSOCKS(t, "g-0.chat.example.test")
	upstream := fmt.Sprintf("g-{server_group}.chat.example.test:%d", chat.Addr().(*net.TCPAddr).Port)
	server, err := serverprocess.Start(serverprocess.AnyPort, t.TempDir(), "env", "MEDIATOR_UPSTREAM="+upstream,
		"MEDIATOR_UPSTREAM_PROXY=socks5h://"+proxy.address, binary)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	address, err := server.AwaitReady(ctx)
	if err != nil {
		t.Fatal(err)
	}

	device := login(ctx, t, address, 1)
	if err := device.Send(ctx, d2m.Proxy{Data: []byte("client hello")}); err != nil {
		t.Fatal(err)
	}
	session, err := chat.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	got := make([]byte, 12)
	if _, err := io.ReadFull(session, got); err != nil || string(got) != "client hello" {
		t.Errorf("chat server got %q, %v", got, err)
	}
	if from := session.RemoteAddr().(*net.TCPAddr).IP.String(); from != socksAddress {
		t.Errorf("chat server sees %s", from)
	}
	hello := make([]byte, 80)
	if _, err := session.Write(hello); err != nil {
		t.Fatal(err)
	}
	if unit, err := receive[d2m.Proxy](ctx, device); err != nil || len(unit.Data) != len(hello) {
		t.Errorf("device got %d bytes, %v", len(unit.Data), err)
	}
	device.Close(d2m.CloseNormal, "")

	proxy.stop()
	device = login(ctx, t, address, 2)
	if err := device.Send(ctx, d2m.Proxy{Data: []byte("client hello")}); err != nil {
		t.Fatal(err)
	}
	_, err = receive[d2m.Proxy](ctx, device)
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != d2m.CloseChatServerUnreachable {
		t.Errorf("without the proxy the device got %v", err)
	}
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// socks is microsocks, in a place where one more name can be resolved.
type socks struct {
	address string
	stop    func()
}

func startSOCKS(t *testing.T, name string) *socks {
	t.Helper()
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte(chatAddress+" "+name+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("unshare", "--mount", "--map-root-user", "sh", "-c",
		`mount --bind "$1" /etc/hosts && exec microsocks -i 127.0.0.1 -p "$2" -b "$3"`, "sh", hosts, port, socksAddress)
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	s := &socks{address: address, stop: func() {
		if !stopped {
			stopped = true
			command.Process.Kill()
			command.Wait()
		}
	}}
	t.Cleanup(s.stop)
	awaitListening(t, address)
	return s
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitListening returns when a program accepts connections.
func awaitListening(t *testing.T, address string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("nobody listens on %s", address)
}
