package main

import (
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"openmediator/chatproxy"
	"openmediator/client"
	"openmediator/mediator"
)

// What the limits let in never needs more open files than there may be, and as few are turned away as that allows.
func TestFitDescriptors(t *testing.T) {
	upstreams, err := chatproxy.ParseUpstreams([]string{"chat.example:1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		connections, unauthenticated int
		upstream                     bool
		limit                        uint64
		want                         int // connections
	}{
		{50_000, 0, false, math.MaxUint64, 50_000},
		{50_000, 0, true, 524_288, 50_000},
		{50_000, 0, false, 50_000 + 12_516 + 96, 50_000},
		{50_000, 0, false, 50_000 + 12_516 + 95, 50_000},
		{50_000, 0, true, 65_536, 28_630},
		{50_000, 0, true, 256, 70},
		{50_000, 0, false, 256, 140},
		{50_000, 5, false, 256, 155},
		{20, 1000, true, 256, 20},
		{math.MaxInt32, math.MaxInt32, true, 128, 14},
		{1, 1, false, 4, 0},
		{50_000, 0, false, 127, 0},
	} {
		c := mediator.DefaultConfig()
		c.Chat.Upstreams = new(chatproxy.Upstreams)
		c.MaxConnections, c.MaxUnauthenticated = test.connections, test.unauthenticated
		each := 1
		if test.upstream {
			c.Chat.Upstreams, each = upstreams, 2
		}
		fitting, lower, err := fitDescriptors(c, test.limit)
		if test.want == 0 {
			if err == nil || !strings.Contains(err.Error(), "LimitNOFILE") {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || fitting.MaxConnections != test.want {
			t.Errorf("%+v: %d connections, %v", test, fitting.MaxConnections, err)
		}
		if lower && uint64(each*fitting.MaxConnections+fitting.MaxUnauthenticated+otherDescriptors) > test.limit || fitting.Validate() != nil {
			t.Errorf("%+v: %d connections and %d who are not logged in, %v", test, fitting.MaxConnections, fitting.MaxUnauthenticated, fitting.Validate())
		}
	}
}

// A server that may open few files takes as many devices as it can serve, tells the others that it is full, and answers its
// operator all the while.
func TestServeWithFewDescriptors(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	p := s.startProgram("/bin/sh", nil, "-c", `ulimit -n 130; exec "$0" "$@"`, program, "serve", "--listen", "127.0.0.1:0", "--data", s.path("data"))
	url := p.listening()
	if line := p.stderr.await(t, "limit of open files"); !strings.Contains(line, `"connections":30`) {
		t.Errorf("log: %s", line)
	}
	p.signal(syscall.SIGHUP) // the limit holds for what is read again, too
	p.stderr.await(t, "configuration reloaded")
	for range 30 {
		login(t, url, newTestKeys(t), 1)
	}
	full, err := client.URL(url, newTestKeys(t).GroupID(), client.DefaultServerGroup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (client.Dialer{}).Dial(testContext(t), full); err == nil || !strings.Contains(err.Error(), "too many connections") {
		t.Errorf("one more: %v", err)
	}
	if listed := s.must("group", "list", "--data", s.path("data"), "--json"); len(objects(t, listed)) != 30 {
		t.Errorf("groups: %s", listed)
	}
}
