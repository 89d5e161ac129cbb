package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// freePorts are the flags that keep dev off ports that somebody may be using.
var freePorts = []string{"--listen", "127.0.0.1:0", "--chat-listen", "127.0.0.1:0", "--chat-http", "127.0.0.1:0"}

// dev starts both servers and waits until all is ready.
func (s *shell) dev(args ...string) *process {
	s.t.Helper()
	p := s.start(append(append([]string{"dev"}, freePorts...), args...)...)
	p.stdout.await(s.t, "BOB00001")
	return p
}

// TestDev types what dev says, as it says it.
func TestDev(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	temp := filepath.Join(s.home, "it's temporary")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	s.environ = append(s.environ, "TMPDIR="+temp)
	p := s.dev()
	p.stdout.await(t, "Ctrl-C ends both servers.")
	lines := regexp.MustCompile(`(?m)^  (.*)$`).FindAllStringSubmatch(p.stdout.String(), -1)
	if len(lines) != 5 {
		t.Fatalf("there are %d lines to type:\n%s", len(lines), p.stdout)
	}
	typed := func(i int) *process {
		t.Helper()
		return s.typed(lines[i][1])
	}
	leader := typed(0)
	leader.stdout.await(t, "this device leads its group")
	leader.stdout.await(t, "logged in to the chat server as BOB00001")
	other := typed(1)
	other.stdout.await(t, "logged in to the chat server as BOB00001")
	for _, i := range []int{2, 3} {
		if p := typed(i); p.wait() != exitDone || p.stderr.String() != "" {
			t.Errorf("%s: %s", lines[i][1], p.stderr)
		}
	}
	leader.stdout.await(t, "chat from ALICE001: hello")
	other.stdout.await(t, "chat from ALICE001, reflected by device ")
	laptop := typed(4)
	laptop.stdout.await(t, "chat to BOB00001, sent by device ")
	laptop.stdout.await(t, "portrayed")
	leader.stop()
	other.stdout.await(t, "this device leads its group")
	other.stop()
	laptop.stop()
	p.stop()
	if p.stderr.String() != "" {
		t.Errorf("the log says: %s", p.stderr)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// typed has a shell run a line.
func (s *shell) typed(line string) *process {
	s.t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		s.t.Fatal(err)
	}
	return s.startProgram(shell, nil, "-c", "exec "+line)
}

func TestDevKeepsItsData(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	first := s.dev("--data", "mine", "--json")
	before := objects(t, first.stdout.String())[0]
	if before["data"] != s.path("mine") || before["temporary"] != false || len(before["devices"].([]any)) != 4 {
		t.Errorf("printed %v", before)
	}
	s.must("device", "chat", "--to", "BOB00001", "kept", "--device", "mine/alice-phone.device")
	first.stop()

	// Other ports, the same users and messages; a device file that is gone is made anew.
	for _, name := range []string{"alice-phone.device", "alice-laptop.device"} {
		if err := os.Remove(s.path("mine/" + name)); err != nil {
			t.Fatal(err)
		}
	}
	second := s.dev("--data", "mine", "--json")
	after := objects(t, second.stdout.String())[0]
	for i, same := range []bool{false, false, true, true} {
		was, is := before["devices"].([]any)[i].(map[string]any), after["devices"].([]any)[i].(map[string]any)
		if (was["identity"] == is["identity"]) != same || (was["device"] == is["device"]) != same {
			t.Errorf("device %d was %v and is %v", i, was, is)
		}
	}
	if before["server_key"] != after["server_key"] || before["server"] == after["server"] {
		t.Errorf("was %v and is %v", before, after)
	}
	bob := s.listen("mine/bob-laptop.device")
	bob.stdout.await(t, "chat from ALICE001: kept")

	// A listen hears of the end from the mediator, which stops first, and goes on when both servers are back at their ports.
	second.stop()
	if line := bob.stdout.await(t, "disconnected: "); !strings.Contains(line, "1001") {
		t.Error(line)
	}
	flags := []string{"--listen", strings.TrimPrefix(after["server"].(string), "ws://"), "--chat-listen", after["chat_server"].(string),
		"--chat-http", strings.TrimPrefix(after["directory"].(string), "http://")}
	third := s.dev(append([]string{"--data", "mine"}, flags...)...)
	s.must("device", "chat", "--to", "BOB00001", "back", "--device", "mine/alice-laptop.device")
	bob.stdout.await(t, ": back")
	bob.stop()
	third.stop()
}

func TestDevMistakes(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	writeFile(t, s.path("file"), "no directory")
	if err := os.Mkdir(s.path("odd"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path("odd/alice-phone.device"), "no device")
	s.must("device", "new", "mute")
	if err := os.Mkdir(s.path("mute-data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path("mute"), s.path("mute-data/alice-phone.device")); err != nil {
		t.Fatal(err)
	}
	running := s.dev("--data", "running")
	for _, test := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailed, "listen: " + l.Addr().String() + " is in use by another program: end that, or choose another port with --listen", []string{"--listen", l.Addr().String()}},
		{exitFailed, "is in use by another program: end that, or choose another port with --chat-listen", []string{"--chat-listen", l.Addr().String()}},
		{exitFailed, "is in use by another program: end that, or choose another port with --chat-http", []string{"--chat-http", l.Addr().String()}},
		{exitUsage, "listen: 0.0.0.0:0 can be reached from other machines, and dev is for this one alone", []string{"--listen", "0.0.0.0:0"}},
		{exitUsage, "chat-http: 0.0.0.0:0 can be reached from other machines", []string{"--chat-http", "0.0.0.0:0"}},
		{exitUsage, `chat-listen: "5222" is not HOST:PORT`, []string{"--chat-listen", "5222"}},
		{exitUsage, "listen: host.invalid:1 cannot be resolved", []string{"--listen", "host.invalid:1"}},
		{exitFailed, "file cannot be made: not a directory; name another directory with --data", []string{"--data", "file"}},
		{exitFailed, "name another directory with --data", []string{"--data", "running"}},
		{exitUsage, "alice-phone.device: is not a device file", []string{"--data", "odd"}},
		{exitUsage, "alice-phone.device: has no identity at a chat server", []string{"--data", "mute-data"}},
		{exitUsage, `dev: "more" is one argument too many`, []string{"more"}},
	} {
		stdout, stderr, code := s.run(append(append([]string{"dev"}, freePorts...), test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, want %d; standard output %q, standard error %q, want one that says %q",
				test.args, code, test.code, stdout, stderr, test.want)
		}
	}
	running.stop()
}

func TestShellLine(t *testing.T) {
	for word, want := range map[string]string{
		"bin/mediator": "bin/mediator", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'", "ü": "'ü'", "--a=b": "--a=b",
	} {
		if got := shellLine([]string{word, "x"}); got != want+" x" {
			t.Errorf("got %s, want %s x", got, want)
		}
	}
}
