package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"ws://127.0.0.1:8440":  "ws://127.0.0.1:8440",
		"ws://127.0.0.1:8440/": "ws://127.0.0.1:8440",
		"127.0.0.1:8440":       "ws://127.0.0.1:8440",
		"localhost:0":          "ws://localhost:0",
		":8440":                "ws://:8440",
		"[::1]:8440":           "ws://[::1]:8440",
		"unix:/run/socket":     "unix:/run/socket",
		"unix:socket":          "unix:socket",
		"wss://0.0.0.0:443":    "wss://0.0.0.0:443",
		"systemd:":             "systemd:",
		"systemd:plain":        "systemd:plain",
		"systemd+tls:public":   "systemd+tls:public",
	} {
		if got, err := parseAddress(text); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                          "is not ws://HOST:PORT",
		"127.0.0.1":                 "is not ws://HOST:PORT",
		"127.0.0.1:":                "is not ws://HOST:PORT",
		"ws://127.0.0.1":            "is not ws://HOST:PORT",
		"::1:8440":                  "is not ws://HOST:PORT",
		"http://127.0.0.1:8440":     "begins with neither ws:// nor wss://",
		"wss://127.0.0.1":           "is not ws://HOST:PORT",
		"wss://127.0.0.1:8440/path": "has more than a host and a port",
		"ws://127.0.0.1:8440/path":  "has more than a host and a port",
		"ws://user@127.0.0.1:8440":  "has more than a host and a port",
		"ws://127.0.0.1:8440?a=b":   "has more than a host and a port",
		"ws://127.0.0.1:port":       "is not a URL",
		"unix:":                     "has no path",
		"unix:/" + strings.Repeat("x", maxSocketPath): "and that of a socket may have",
		"127.0.0.1:1,127.0.0.1:2,,":                   "is not ws://HOST:PORT",
		"127.0.0.1:1 127.0.0.1:2 :::":                 "is not ws://HOST:PORT",
	} {
		if _, err := parseAddresses(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want one that says it %s", text, err, want)
		}
	}
}

func TestAddressesOthersCanReachNeedPermission(t *testing.T) {
	for _, text := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		a, err := parseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = a.resolve(false); err == nil || !strings.Contains(err.Error(), "--allow-plaintext") || exitCode(err) != exitUsage {
			t.Errorf("%s: got %v", text, err)
		}
		if _, err = a.resolve(true); err != nil {
			t.Errorf("%s: got %v", text, err)
		}
	}
	for _, text := range []string{"127.0.0.1:0", "127.3.2.1:0", "[::1]:0", "unix:/run/socket", "wss://0.0.0.0:0", "wss://192.0.2.1:0"} {
		a, err := parseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = a.resolve(false); err != nil {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, err := (address{network: "tcp", name: "no host:1"}).resolve(true); err == nil || !strings.HasPrefix(err.Error(), "listen: ws://no host:1 cannot be resolved: ") {
		t.Errorf("got %v", err)
	}
	for _, port := range []string{"65536", "-1", "80x"} {
		_, err := (address{network: "tcp", name: "127.0.0.1:" + port}).resolve(true)
		if err == nil || !strings.Contains(err.Error(), `port "`+port+`" is not a number up to 65535`) || exitCode(err) != exitUsage {
			t.Errorf("got %v", err)
		}
	}
}

// TestSocketOfADeadServer: a socket that nobody listens on is replaced, one in use and any other file are not.
func TestSocketOfADeadServer(t *testing.T) {
	a := address{network: "unix", name: filepath.Join(t.TempDir(), "socket")}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()

	l, err := a.open()
	if err != nil {
		t.Fatal(err)
	}
	if opened(l) != a {
		t.Errorf("got %v, want %v", opened(l), a)
	}
	if _, err := a.open(); err == nil || !strings.Contains(err.Error(), "is in use by another program") {
		t.Errorf("socket in use: got %v", err)
	}
	l.Close()

	if err := os.WriteFile(a.name, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.open(); err == nil || !strings.Contains(err.Error(), "is there and is no socket; choose another") {
		t.Errorf("path of a file: got %v", err)
	}
	if data, err := os.ReadFile(a.name); string(data) != "precious" || err != nil {
		t.Errorf("the file holds %q, %v", data, err)
	}
	if _, err := (address{network: "unix", name: "/nonexistent/socket"}).open(); err == nil || errors.Is(err, os.ErrExist) ||
		!strings.Contains(err.Error(), "unix:/nonexistent/socket cannot be opened") {
		t.Errorf("got %v", err)
	}
}
