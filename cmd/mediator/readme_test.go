package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readmeCommands returns the lines of each block of commands in the README.
func readmeCommands(t *testing.T) (blocks [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, strings.Split(strings.TrimSpace(match[1]), "\n"))
	}
	if len(blocks) < 3 {
		t.Fatalf("the README has %d blocks of commands", len(blocks))
	}
	return blocks
}

// TestREADME does what the first screen of the README says. The server is at another port than the default one, which
// somebody may be using.
func TestREADME(t *testing.T) {
	t.Parallel()
	blocks := readmeCommands(t)
	if !slices.Equal(blocks[0], []string{"go run ./cmd/mediator serve"}) || !slices.Equal(blocks[2], []string{"go test ./..."}) {
		t.Errorf("the README begins with %q and %q", blocks[0], blocks[2])
	}
	lines := blocks[1]
	if len(lines) != 6 || lines[0] != "go build -o bin/ ./cmd/mediator" {
		t.Fatalf("the lines with two devices are %q", lines)
	}
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0")
	server := s.start("serve")
	s.environ = append(s.environ, "MEDIATOR_SERVER="+server.listening())

	last := len(lines) - 1
	for _, line := range lines[1:last] {
		s.must(readmeArguments(t, line)...)
	}
	listening := s.start(readmeArguments(t, lines[last])...)
	listening.stdout.await(t, "message from "+formatDeviceID(s.device("phone.device").id)+": hello")
	listening.stop()
	server.stop()
}

func readmeArguments(t *testing.T, line string) []string {
	t.Helper()
	arguments, found := strings.CutPrefix(line, "bin/mediator ")
	if !found || strings.ContainsAny(arguments, "\"'$&|#") {
		t.Fatalf("%q is no plain call of bin/mediator", line)
	}
	return strings.Fields(arguments)
}

// TestREADMECommands understands each other call of the program in the README.
func TestREADMECommands(t *testing.T) {
	for _, block := range readmeCommands(t) {
		for _, line := range block {
			checkExample(t, strings.ReplaceAll(" "+line, "bin/mediator ", "mediator "))
		}
	}
}
