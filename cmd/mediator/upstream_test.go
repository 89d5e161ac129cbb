package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// loadServe reads the settings of serve from flags and an environment of NAME=VALUE.
func loadServe(t *testing.T, environ map[string]string, flags ...string) (*settings, error) {
	t.Helper()
	cmd := &cobra.Command{}
	src := addSettings(cmd, withoutFile(environ), serverSettings...)
	if err := cmd.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	return src.load()
}

func TestUpstreamSettings(t *testing.T) {
	for name, c := range map[string]struct {
		environ     map[string]string
		flags       []string
		serverGroup string
		want        string // address, empty: none
	}{
		"none":     {nil, nil, "4f", ""},
		"template": {nil, []string{"--upstream", "g-{server_group}.example.net:5222"}, "4f", "g-4f.example.net:5222"},
		"pattern": {nil, []string{"--upstream", "g-{server_group}.example.net:5222", "--upstream-pattern", "[a-z]{3}"}, "abc",
			"g-abc.example.net:5222"},
		"pattern that does not match": {nil, []string{"--upstream", "g-{server_group}.example.net:5222", "--upstream-pattern",
			"[a-z]{3}"}, "4f", ""},
		"repeated": {nil, []string{"--upstream", "4f=a.example:1", "--upstream", "50=b.example:2"}, "50", "b.example:2"},
		"environment": {map[string]string{"MEDIATOR_UPSTREAM": "4f=a.example:1,50=b.example:2"}, nil, "4f",
			"a.example:1"},
		"flag over environment": {map[string]string{"MEDIATOR_UPSTREAM": "a.example:1"}, []string{"--upstream", "b.example:2"}, "4f",
			"b.example:2"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := loadServe(t, c.environ, c.flags...)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := s.server.Chat.Upstreams.Address(c.serverGroup); got != c.want || ok != (c.want != "") {
				t.Errorf("address is %q, %v", got, ok)
			}
		})
	}
	s, err := loadServe(t, nil, "--upstream-proxy", "socks5h://127.0.0.1:9050", "--upstream-local", "127.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if s.server.Chat.SOCKS != "127.0.0.1:9050" || s.server.Chat.Local.String() != "127.0.2.1" {
		t.Errorf("got %+v", s.server.Chat)
	}
}

func TestUpstreamSettingsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		flag, value, want string
	}{
		{"--upstream", "{server_group}:5222", `upstream: "{server_group}:5222": at least two labels have to follow`},
		{"--upstream", "{server_group}.local:5222", "at least two labels have to follow"},
		{"--upstream", "chat.example.net", `upstream: "chat.example.net": is not HOST:PORT`},
		{"--upstream", "a.example:1,", `upstream: "": only addresses of the form`},
		{"--upstream-proxy", "socks5://127.0.0.1:9050", "write socks5h://127.0.0.1:9050"},
		{"--upstream-proxy", "http://127.0.0.1:9050", "other kinds of proxies are not known"},
		{"--upstream-proxy", "127.0.0.1:9050", "is not socks5h://HOST:PORT"},
		{"--upstream-proxy", "socks5h://127.0.0.1", "has no port"},
		{"--upstream-proxy", "socks5h://me:secret@127.0.0.1:9050", "no user belongs in it"},
		{"--upstream-proxy", "socks5h://127.0.0.1:9050/path", "more than a host and a port"},
		{"--upstream-local", "eth0", `upstream-local: "eth0" is not an IP address of this machine`},
	} {
		_, err := loadServe(t, nil, c.flag, c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error is %v, want %q", c.flag, c.value, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %s: error holds a secret", c.flag, c.value)
		}
	}
	_, err := loadServe(t, nil, "--upstream", "{server_group}.a.example:1", "--upstream-pattern", "[")
	if err == nil || !strings.Contains(err.Error(), "is not a regular expression") {
		t.Errorf("pattern: error is %v", err)
	}
}
