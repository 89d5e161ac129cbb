package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// sameSettings fails unless two readings have the same values.
func sameSettings(t testing.TB, got, want *settings) {
	t.Helper()
	for _, row := range serverRows() {
		if g, w := row.plain(got.values[row.name].text), row.plain(want.values[row.name].text); g != w {
			t.Errorf("%s is %q, want %q", row.name, g, w)
		}
	}
	got.server.Chat.Upstreams, want.server.Chat.Upstreams = nil, nil // pointers; made of texts that are the same
	if g, w := fmt.Sprintf("%+v", got.server), fmt.Sprintf("%+v", want.server); g != w {
		t.Errorf("the server's configuration is\n%s\nwant\n%s", g, w)
	}
}

// TestConfigExample: the example changes nothing, neither as it is nor with each default said in full, and what it shows
// where there is no default is right.
func TestConfigExample(t *testing.T) {
	defaults, err := loadedFrom(t, "")
	if err != nil {
		t.Fatal(err)
	}
	example := exampleFile()
	var said, samples strings.Builder
	for line := range strings.Lines(example) {
		name, _, isSetting := strings.Cut(strings.TrimPrefix(line, "#"), " = ")
		if row := rowInFile(name); isSetting && row != nil {
			samples.WriteString(line[1:])
			if row.byDefault != "" {
				said.WriteString(line[1:])
			}
		}
		if len(line) > 121 {
			t.Errorf("a line is too long: %s", line)
		}
	}
	for name, text := range map[string]string{"as it is": example, "with each default said": said.String()} {
		s, err := loadedFrom(t, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameSettings(t, s, defaults)
	}
	if file := parseConfigFile("example", []byte(samples.String())); len(file.problems) > 0 || len(file.values) != len(serverRows())-1 {
		t.Errorf("%d settings are shown, of %d; wrong are %v", len(file.values), len(serverRows())-1, settingsError(file.problems))
	}
}

// TestConfigDocument fails if docs/configuration.md is not what the table makes.
func TestConfigDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || string(text) != configurationDocument() {
		t.Errorf("docs/configuration.md is not made from the table as it is now: run go generate ./cmd/mediator (%v)", err)
	}
	for i := range table {
		if row := &table[i]; row.byDefault == "" && !strings.Contains(row.text, "(default") && !strings.Contains(row.text, "(required") {
			t.Errorf("setting %s does not say what holds by default", row.name)
		}
	}
}

// TestConfigDocumentCommands runs the commands of docs/configuration.md beside the file that it shows.
func TestConfigDocumentCommands(t *testing.T) {
	document := configurationDocument()
	_, rest, _ := strings.Cut(document, "```toml\n")
	file, rest, _ := strings.Cut(rest, "```")
	_, rest, _ = strings.Cut(rest, "```sh\n")
	commands, _, _ := strings.Cut(rest, "```")
	s := newShell(t)
	writeFile(t, s.path("mediator.toml"), strings.NewReplacer("8440", "0", "/run/mediator", s.home).Replace(file))
	lines := strings.Split(strings.TrimSpace(commands), "\n")
	for _, line := range lines {
		s.must(readmeArguments(t, line)...)
	}
	if len(lines) != 3 {
		t.Errorf("the commands are %q", lines)
	}
}

// TestDefaultsFitASmallServer: what is kept in memory besides the connections is bounded by settings, whose defaults leave
// room on a server with 1 GiB.
func TestDefaultsFitASmallServer(t *testing.T) {
	s, err := loadedFrom(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if kept := s.server.TailBytes + s.server.StagedBytes; kept > 384<<20 {
		t.Errorf("%d bytes are kept in memory", kept)
	}
	if most := s.server.MaxConnections; most > 100_000 {
		t.Errorf("%d connections", most)
	}
}

// TestPrecedence: the default, the file, the variable, the flag; and show tells which.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_MAX_SLOTS=6", "MEDIATOR_MAX_QUEUE_BYTES=2MiB", "MEDIATOR_CONFIG="+filepath.Join(t.TempDir(), "away"))
	file := s.path("mediator.toml")
	writeFile(t, file, "max-slots = 5\nprivacy = \"operator\"\nmax-queue-bytes = \"1MiB\"\n")
	shown := s.must("config", "show", "--origin", "--config", file, "--max-slots", "7")
	for name, want := range map[string]string{
		"max-slots": `= 7 # --max-slots`, "max-queue-bytes": `= "2MiB" # MEDIATOR_MAX_QUEUE_BYTES`,
		"privacy": `= "operator" # ` + file + ":2", "log-level": `= "info" # default`, "#data": `= "" # default`,
		"#config": `= "` + file + `" # --config`,
	} {
		found := false
		for line := range strings.Lines(shown) {
			found = found || strings.Join(strings.Fields(line), " ") == name+" "+want
		}
		if !found {
			t.Errorf("no line %s %s in\n%s", name, want, shown)
		}
	}
	for _, object := range objects(t, s.must("config", "show", "--origin", "--json", "--config", file)) {
		if object["setting"] == "privacy" && (object["value"] != "operator" || object["origin"] != file+":2") {
			t.Errorf("got %v", object)
		}
	}
	_, stderr, code := s.run("config", "show")
	if want := "away cannot be read: no such file or directory; name another file with --config"; code != exitUsage || !strings.Contains(stderr, want) {
		t.Errorf("a file that is not there: exit code %d, %s", code, stderr)
	}
}

// TestNoHalfStart: with a wrong setting nothing is made and nothing opened, and all that is wrong is said.
func TestNoHalfStart(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	file := s.path("mediator.toml")
	writeFile(t, file, "max-slots = 16\nlisten = [\"127.0.0.1:0\"]\nprivacy = \"none\"\n")
	stdout, stderr, code := s.run("serve", "--config", file, "--data", s.path("data"), "--max-transaction-ttl", "99h")
	if code != exitUsage || stdout != "" || strings.Contains(stderr, "listening") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	for _, want := range []string{file + ":1: max-slots: 16", "\n    1 | max-slots = 16\n      |             ^^\n", file + ":3: privacy", "max-transaction-ttl: 99h"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%s\ndoes not say %q", stderr, want)
		}
	}
	if _, err := os.Stat(s.path("data")); err == nil {
		t.Error("the data directory was made")
	}
	for name, path := range map[string]string{"is no regular file": s.home, "more than 1048576": s.path("large")} {
		writeFile(t, s.path("large"), strings.Repeat("#\n", maxConfigFile))
		if _, stderr, code := s.run("serve", "--config", path); code != exitUsage || !strings.Contains(stderr, name) {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	}
}

// TestConfigCheck looks at each check once well and once failing.
func TestConfigCheck(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_MAX_SLOT=10")
	chat, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	upstream := "--upstream=" + chat.Addr().String()
	good := []string{"config", "check", "--json", "--data", s.path("new/data"), "--listen", "127.0.0.1:0", upstream}
	stdout, stderr, code := s.run(good...)
	if code != exitDone || stderr != "" {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	results := func(text string) string {
		var all []string
		for _, object := range objects(t, text) {
			all = append(all, fmt.Sprint(object["check"], " ", object["result"]))
		}
		return strings.Join(all, ", ")
	}
	if got, want := results(stdout), "settings ok, variables warn, data ok, listen ok, admin ok, tls ok, access ok, upstream ok"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := os.Stat(s.path("new")); err == nil {
		t.Error("the check has made a directory")
	}

	writeFile(t, s.path("file"), "")
	taken := chat.Addr().String()
	stdout, stderr, code = s.run("config", "check", "--data", s.path("file"), "--listen", taken, "--upstream", "127.0.0.1:1")
	if code != exitFailed || !strings.Contains(stderr, "config check: 3 failed") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	for _, want := range []string{"ok    settings", "warn  variables    MEDIATOR_MAX_SLOT is not a setting; is max-slots meant?",
		"fail  data         " + s.path("file") + ": it is not a directory; name one with --data", "fail  listen       ws://" + taken + " is in use",
		"fail  upstream     127.0.0.1:1 cannot be reached"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%s\ndoes not say %q", stdout, want)
		}
	}

	stdout, _, _ = s.run("config", "check", "--data", s.path("new"), "--listen", "127.0.0.1:0", upstream, "--upstream-local", "192.0.2.1")
	if want := "fail  upstream     upstream-local 192.0.2.1 is not an address of this machine"; !strings.Contains(stdout, want) {
		t.Errorf("%s\ndoes not say %q", stdout, want)
	}

	writeFile(t, s.path("broken.toml"), "max-slots = 16\nmax-slot = 1\n")
	stdout, _, code = s.run("config", "check", "--json", "--config", s.path("broken.toml"))
	if found := objects(t, stdout); code != exitUsage || len(found) != 2 || found[0]["line"] != 1.0 || found[0]["column"] != 13.0 || found[0]["setting"] != "max-slots" {
		t.Errorf("exit code %d, %s", code, stdout)
	}

	server, url := s.serve("--data", s.path("data"))
	stdout, _, code = s.run("config", "check", "--json", "--data", s.path("data"), "--listen", url)
	if got, want := results(stdout), "settings ok, variables warn, data warn, listen warn, admin ok, tls ok, access ok, upstream warn"; code != exitDone || got != want {
		t.Errorf("beside its own server: exit code %d, %s, want %s", code, got, want)
	}
	server.stop()
}

// TestConfigCheckOfSockets: what a start refuses is said beforehand, and nothing is made or removed.
func TestConfigCheckOfSockets(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	writeFile(t, s.path("file"), "mine")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path("dead"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	for path, want := range map[string]struct {
		result string
		code   int
		text   string
	}{
		s.path("free"):        {resultOK, exitDone, "is free"},
		s.path("dead"):        {resultOK, exitDone, "is free"},
		s.path("file"):        {resultFail, exitFailed, "cannot be opened: is there and is no socket; choose another address with"},
		s.path("file/socket"): {resultFail, exitFailed, "cannot be opened: its directory: "},
		s.path("none/socket"): {resultWarn, exitDone, "its directory is not there"},
	} {
		for check, args := range map[string][]string{
			"listen": {"--listen", "unix:" + path}, "admin": {"--listen", "127.0.0.1:0", "--admin-listen", "unix:" + path},
		} {
			stdout, _, code := s.run(append([]string{"config", "check", "--json", "--data", s.path("data")}, args...)...)
			for _, object := range objects(t, stdout) {
				if object["check"] == check && (code != want.code || object["result"] != want.result || !strings.Contains(object["text"].(string), want.text)) {
					t.Errorf("%q: exit code %d, want %d, %v", args, code, want.code, object)
				}
			}
		}
	}
	if names, err := os.ReadDir(s.path("")); err != nil || len(names) != 2 {
		t.Errorf("the checks leave %v, %v", names, err)
	}
}

// FuzzConfigFile: no file makes the program panic, each problem is in a line that there is, and what is right can be
// written down and read again.
func FuzzConfigFile(f *testing.F) {
	f.Add(exampleFile())
	for _, broken := range brokenConfigs(f) {
		f.Add(broken.config)
	}
	f.Add("listen = [\" 127.0.0.1:0\"]\n")
	f.Add("upstream-pattern = \"\"\n")
	f.Add("listen = [\"127.0.0.1:0\"]\nupstream = [\"4f=a.example:1\", \"5a=b.example:2\"]\ndata = '\\d\"'\nmax-connections = 0x_ff\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := loadedFrom(t, text)
		var wrong settingsError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatalf("error is a %T: %v", err, err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range wrong {
			if p.file != nil && (p.at.line < 1 || p.at.line > lines) {
				t.Errorf("line %d of %d: %s", p.at.line, lines, p.text)
			}
		}
		if report := wrong.report(""); strings.ContainsAny(report, "\x1b\x00\r") {
			t.Errorf("control characters in %q", report)
		}
		if err != nil {
			return
		}
		if err := toml.Unmarshal([]byte(text), new(map[string]any)); err != nil {
			t.Errorf("%q is taken, and is no TOML: %v", text, err)
		}
		var shown strings.Builder
		for _, row := range serverRows() {
			shown.WriteString(row.line(s.values[row.name].text) + "\n")
		}
		again, err := loadedFrom(t, shown.String())
		if err != nil {
			t.Fatalf("%s\nis wrong: %v", shown.String(), err)
		}
		sameSettings(t, again, s)
	})
}
