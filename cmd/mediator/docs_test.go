package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// codeIn returns the code in a language of a file in docs.
func codeIn(t *testing.T, file, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no %s", file, language)
	}
	return blocks
}

// TestDocsCommands understands each call of the program in docs.
func TestDocsCommands(t *testing.T) {
	for _, file := range []string{"installing.md", "privacy.md"} {
		for _, block := range codeIn(t, file, "sh") {
			for line := range strings.Lines(block) {
				line = strings.NewReplacer("bin/mediator ", "mediator ", "/usr/local/bin/", "", "…", "").Replace(line)
				checkExample(t, " "+strings.TrimSpace(line))
			}
		}
	}
}

// TestInstallingConfiguration reads the configuration of docs/installing.md as it stands there, and has the units start the
// program with settings that it knows.
func TestInstallingConfiguration(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	file := s.path("mediator.toml")
	writeFile(t, file, codeIn(t, "installing.md", "toml")[0])
	shown := strings.Join(strings.Fields(s.must("config", "show", "--origin", "--config", file)), " ")
	for _, want := range []string{`data = "/var/lib/mediator" # ` + file + ":1", `acme-accept-terms = true # ` + file + ":4"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the configuration is shown without %q:\n%s", want, shown)
		}
	}
	units := strings.Join(codeIn(t, "installing.md", "ini"), "")
	starts := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/(mediator .*)$`).FindAllStringSubmatch(units, -1)
	if len(starts) != 2 {
		t.Fatalf("%d units start the program", len(starts))
	}
	for _, start := range starts {
		checkExample(t, " "+start[1])
	}
}

// TestPrivacyDocs runs the commands of docs/privacy.md.
func TestPrivacyDocs(t *testing.T) {
	t.Parallel()
	blocks := codeIn(t, "privacy.md", "sh")
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0", "MEDIATOR_DATA=data")
	for line := range strings.Lines(blocks[1]) {
		line = strings.Replace(line, "2026-12-31T18:00:00Z", time.Now().Add(24*time.Hour).Format(time.RFC3339), 1)
		server := s.start(readmeArguments(t, strings.TrimSpace(line))...)
		server.listening()
		for line := range strings.Lines(blocks[0]) {
			if told := s.must(readmeArguments(t, strings.TrimSpace(line))...); !strings.Contains(told, "group") {
				t.Errorf("%q tells\n%s", line, told)
			}
		}
		server.stop()
	}
}
