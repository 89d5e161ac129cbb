package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sectionsOf returns the commands of some sections of a file in docs, in their order.
func sectionsOf(t *testing.T, file string, titles ...string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range titles {
		_, section, found := strings.Cut(string(text), "\n## "+title+"\n")
		if !found {
			t.Fatalf("%s has no section %q", file, title)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for i, block := range strings.Split(section, "```") {
			if commands, isShell := strings.CutPrefix(block, "sh\n"); isShell && i%2 == 1 {
				lines = append(lines, strings.Split(strings.TrimSpace(commands), "\n")...)
			}
		}
	}
	return lines
}

// TestOperatingDataDocs runs the commands about data of docs/operating.md, in their order, beside a server and devices.
func TestOperatingDataDocs(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0")
	if err := os.Mkdir(s.path("backup"), 0o700); err != nil {
		t.Fatal(err)
	}
	server, url := s.serve("--data", "lib/mediator")
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "phone")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "hello", "--device", "phone")
	lines := sectionsOf(t, "operating.md", "Backup and restore", "Moving to another machine")
	for _, line := range lines {
		line = strings.NewReplacer("/var/lib/", "lib/", " /backup/", " backup/").Replace(line)
		args := readmeArguments(t, line)
		if args[0] == "serve" {
			restored := s.start(args...)
			restored.listening()
			if text := s.must("group", "list", "--data", args[2]); !strings.Contains(text, "2 devices") || !strings.Contains(text, "1 message") {
				t.Errorf("%q knows %s", line, text)
			}
			restored.stop()
			continue
		}
		if out := s.must(args...); !strings.Contains(out, "message") && !strings.Contains(out, "compacted") {
			t.Errorf("%q prints %s", line, out)
		}
	}
	if len(lines) != 9 {
		t.Errorf("%d commands were run", len(lines))
	}
	server.stop()
}
