package chatproxy

import (
	"net"
	"testing"
)

func TestAddresses(t *testing.T) {
	for want, texts := range map[string][]string{
		"":                               nil,
		"chat.example:1":                 {"chat.example:1"},
		"a.example:1 b.example:1":        {"4f=b.example:1", "5a=a.example:1", "6b=b.example:1"},
		" (depends on the server group)": {"g-{server_group}.example.net:5222"},
	} {
		u, err := ParseUpstreams(texts, DefaultPattern)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, address := range u.Addresses() {
			if i > 0 {
				got += " "
			}
			got += address
		}
		if len(texts) > 0 && got == "" {
			got = " (depends on the server group)"
		}
		if got != want {
			t.Errorf("%q: got %q", texts, got)
		}
	}
}

// Try reaches what sessions would reach.
func TestTry(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{}
	if err := c.Try(t.Context(), l.Addr().String()); err != nil {
		t.Error(err)
	}
	c.SOCKS = l.Addr().String() // which speaks no SOCKS
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for range 2 {
			if conn, err := l.Accept(); err == nil {
				conn.Close()
			}
		}
	}()
	if err := c.Try(t.Context(), l.Addr().String()); err == nil {
		t.Error("went around the proxy")
	}
	<-accepted
	l.Close()
	c.SOCKS = ""
	if err := c.Try(t.Context(), l.Addr().String()); err == nil {
		t.Error("reached what is closed")
	}
}
