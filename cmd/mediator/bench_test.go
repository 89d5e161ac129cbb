package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// benchShell has a temporary directory of its own, in which nothing may be left.
func benchShell(t *testing.T) *shell {
	s := newShell(t)
	temp := filepath.Join(s.home, "temporary")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	s.environ = append(s.environ, "TMPDIR="+temp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return s
}

func TestBenchSelf(t *testing.T) {
	t.Parallel()
	s := benchShell(t)
	for store, more := range map[string][]string{"disk": nil, "none": {"--without-store"}} {
		args := append([]string{"bench", "reflect", "--self", "--json", "--seed", "5", "--groups", "2", "--window", "2",
			"--duration", "50ms", "--warm-up", "0"}, more...)
		results := objects(t, s.must(args...))
		if len(results) != 1 {
			t.Fatalf("there are %d results", len(results))
		}
		r := results[0]
		if r["measurement"] != "reflect" || r["store"] != store || r["seed"] != 5.0 || r["acked_per_s"] == nil || r["server_rss_bytes"] == nil {
			t.Errorf("got %v", r)
		}
	}
}

// TestBenchAll measures all there is, for a moment each.
func TestBenchAll(t *testing.T) {
	t.Parallel()
	s := benchShell(t)
	small := map[string]string{"groups": "2", "connections": "3", "warm-up": "0s", "duration": "40ms"}
	var names []string
	for _, scenario := range benchScenarios() {
		args := []string{"bench", scenario.name, "--self", "--json"}
		for _, row := range scenario.rows {
			if value, ok := small[row.name]; ok {
				args = append(args, "--"+row.name, value)
			}
		}
		for _, r := range objects(t, s.must(args...)) {
			names = append(names, r["measurement"].(string))
			if r["server_cpu_s"] == nil {
				t.Errorf("got %v", r)
			}
		}
	}
	if want := []string{"reflect", "login", "proxy", "idle"}; !slices.Equal(names, want) {
		t.Errorf("there are %q, want %q", names, want)
	}
}

// TestBenchIsInterrupted: then there is no result, and nothing is left behind.
func TestBenchIsInterrupted(t *testing.T) {
	t.Parallel()
	s := benchShell(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := s.start("bench", "reflect", "--server", "ws://"+l.Addr().String())
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() // it is not answered
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitFailed || p.stdout.String() != "" || p.stderr.String() != "mediator: bench: was interrupted\n" {
		t.Errorf("exit code %d; standard output %q; standard error %q", code, p.stdout, p.stderr)
	}
}

// TestBenchText measures a server that was there before, and says it in words.
func TestBenchText(t *testing.T) {
	t.Parallel()
	s := benchShell(t)
	socket := s.path("socket")
	server := s.start("serve", "--listen", "unix:"+socket, "--data", s.path("data"))
	server.listening()
	text := s.must("bench", "reflect", "--server", "unix:"+socket, "--groups", "1", "--duration", "50ms", "--warm-up", "0")
	for _, want := range []string{"reflect: 1 groups of 3 devices", "acked ", "ack latency       p50 ", "delivery latency", " #"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	server.stop()
}

// TestBenchRefuses: what is wrong is said in one sentence that names the value and the way out.
func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	s := benchShell(t)
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"reflect", exitUsage, []string{"server: is missing", "--server", "--self"}},
		{"reflect --self --server ws://127.0.0.1:1", exitUsage, []string{"not both"}},
		{"reflect --server ws://127.0.0.1:1 --without-store", exitUsage, []string{"without-store: is for --self alone"}},
		{"reflect --server ws://127.0.0.1:1 --dir .", exitUsage, []string{"dir: is for --self alone"}},
		{"reflect --server http://127.0.0.1", exitUsage, []string{`server: "http://127.0.0.1" is not ws://HOST:PORT`}},
		{"reflect --server ws://127.0.0.1/?a=b", exitUsage, []string{"more than a host and a path"}},
		{"reflect --server unix:", exitUsage, []string{`"unix:" has no path`}},
		{"reflect --server ws://127.0.0.1:1", exitUnreachable, []string{"connection refused", "is this its URL (--server)"}},
		{"reflect --server unix:/nowhere", exitUnreachable, []string{"no such file"}},
		{"reflect --self --dir /nowhere", exitFailed, []string{"dir: no directory can be made there", "name another one with --dir"}},
		{"reflect --self --groups 0", exitUsage, []string{"groups: 0 is not within 1 to 1000000 groups"}},
		{"reflect --self --groups many", exitUsage, []string{`groups: "many" is not a number`}},
		{"reflect --self --devices 16", exitUsage, []string{"devices: 16 is not within 1 to 15"}},
		{"reflect --self --devices 10 --away 6", exitUsage, []string{"away: a group would have 16 devices", "15 are the most"}},
		{"reflect --self --window 0", exitUsage, []string{"window: 0 is not within"}},
		{"reflect --self --size 15", exitUsage, []string{"size: 15 is not within 16 to 65516 bytes"}},
		{"reflect --self --think -1s", exitUsage, []string{"think: -1s is not within"}},
		{"reflect --self --duration 5", exitUsage, []string{`duration: "5" is not a time such as`}},
		{"reflect --self --seed -1", exitUsage, []string{"seed: -1 is not within"}},
		{"reflect --self now", exitUsage, []string{`"now" is one argument too many`, "mediator bench reflect --help"}},
		{"idle --server ws://127.0.0.1:1", exitUsage, []string{"server: idle looks at the memory", "--self"}},
		{"proxy --server ws://127.0.0.1:1", exitUsage, []string{"upstream: is missing", "--upstream"}},
		{"proxy --self --upstream 127.0.0.1:1", exitUsage, []string{"upstream: is for a foreign server"}},
		{"proxy --server ws://127.0.0.1:1 --upstream here", exitUsage, []string{`upstream: "here" is not HOST:PORT`}},
		{"proxy --server ws://127.0.0.1:1 --upstream 192.0.2.1:1", exitFailed, []string{"upstream: 192.0.2.1:1 cannot be opened"}},
		{"login --server ws://127.0.0.1:1", exitUnreachable, []string{"connection refused"}},
		{"all --self --server ws://127.0.0.1:1", exitUsage, []string{"not both"}},
		{"all", exitUsage, []string{"server: is missing"}},
		{"reflekt --self", exitUsage, []string{`"reflekt" is not a command; is reflect meant?`}},
		{"reflekt", exitUsage, []string{`"reflekt" is not a command; is reflect meant?`}},
	} {
		stdout, stderr, code := s.run(append([]string{"bench"}, strings.Fields(test.args)...)...)
		if code != test.code || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, want %d; standard output %q; standard error %q", test.args, code, test.code, stdout, stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %s does not say %q", test.args, stderr, want)
			}
		}
	}
}
