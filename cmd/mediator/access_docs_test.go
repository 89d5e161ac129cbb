package main

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"openmediator/d2m"
)

// TestAccessDocs runs the commands of docs/access.md, in their order. GROUP is a group that uses the server, ID the invitation
// that was made last.
func TestAccessDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0", "MEDIATOR_DATA=data")
	keys := newTestKeys(t)
	group := keys.GroupID()
	replaced := map[string]string{"GROUP": hex.EncodeToString(group[:])}
	var server *process
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			args := readmeArguments(t, strings.TrimSpace(line))
			for i, arg := range args {
				if value, ok := replaced[arg]; ok {
					args[i] = value
				}
			}
			commands++
			if args[0] == "serve" {
				if server != nil {
					server.stop()
				}
				server = s.start(args...)
				url := server.listening()
				if strings.Contains(line, "invite") {
					url += "/i/" + objects(t, s.must("invite", "--json"))[0]["code"].(string)
				}
				login(t, url, keys, d2m.DeviceID(commands)).CloseNow()
				continue
			}
			out := s.must(args...)
			if args[0] == "invite" && args[1] != "list" && args[1] != "revoke" {
				replaced["ID"] = strings.Fields(out)[1]
			}
		}
	}
	if commands != 12 {
		t.Errorf("%d commands were run", commands)
	}
	server.stop()
}

// TestAccessDocsExample: the list in the documentation is one.
func TestAccessDocsExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```\n# Anna")
	list, _, _ := strings.Cut(rest, "```")
	s := newShell(t)
	writeFile(t, s.path("groups"), "# Anna"+list)
	for access, want := range map[string]string{"known": "allows 1 group and denies 1 group", "open": "allows 1 group and denies 1 group"} {
		out, _, _ := s.run("config", "check", "--listen", "127.0.0.1:0", "--data", "data", "--access", access, "--access-list", "groups")
		if !strings.Contains(out, want) {
			t.Errorf("%s: %s", access, out)
		}
	}
	writeFile(t, s.path("groups"), "# nobody yet\n")
	out, _, _ := s.run("config", "check", "--listen", "127.0.0.1:0", "--data", "data", "--access", "known", "--access-list", "groups")
	if !strings.Contains(out, "nobody is let in") {
		t.Errorf("nobody: %s", out)
	}
	writeFile(t, s.path("groups"), "nonsense\n")
	out, _, code := s.run("config", "check", "--listen", "127.0.0.1:0", "--data", "data", "--access-list", "groups")
	if code != exitFailed || !strings.Contains(out, "access list groups: line 1:") {
		t.Errorf("nonsense: %d, %s", code, out)
	}
	out, stderr, code := s.run("config", "check", "--data", "data", "--access", "known")
	if code != exitUsage || !strings.Contains(out+stderr, "name its file with access-list") {
		t.Errorf("known without a list: %d, %s%s", code, out, stderr)
	}
}
