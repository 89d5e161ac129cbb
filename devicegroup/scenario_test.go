package devicegroup_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what scenarios print into their files, to be read in the diff")

// TestScenarios plays the scripts in testdata/scenarios. A line that is not indented is a command, what is indented
// below it is what happens then, and # begins a comment; the ones at the head name the rules that the script shows.
//
//	connect A new …     a device comes; words behind: existing, volatile, drop-least-recent, info=TEXT. A2 is a second
//	                    connection of device A
//	join A B …          new devices come and take all that is there for them; A leads
//	A receives          the connection takes all that is there for it; until then it reads nothing
//	A reflect TEXT …    one message for each TEXT; A ephemeral TEXT … likewise; A reflects-large N has N bytes
//	A ack TEXT …        acknowledges the messages that came with TEXT, or the number given as #N
//	A devices           asks for DevicesInfo; A drop B and A share TEXT likewise
//	A begins SCOPE 30s  asks for the lock; without a time for as long as the server allows
//	A commits           ends the transaction with a commit
//	A send HEX          the bytes of a message
//	A end               the connection ends
//	commit              stores what is urgent; commit all also what can wait; commit fails, commit fenced: it does not work
//	commit begins       hands what is urgent to the store, which has not done it before commit ends
//	crash               the server is killed and starts again
//	clock +1m           time passes, and what is due is done; clock -1h sets the clock back
//	leader              who leads
//	store               what is stored
//
// Settings stand in a first command: config slots=2 queue=3 tail=0 absence=24h ttl=30m staged=70000 group=100.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			played := play(t, string(script))
			switch {
			case played == string(script):
			case *rewrite:
				if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s: first difference in line %s\nrun with -rewrite and read the diff", file, difference(string(script), played))
			}
		})
	}
}

// difference shows the first line in which a script and what was played differ.
func difference(script, played string) string {
	want, got := strings.Split(script, "\n"), strings.Split(played, "\n")
	for i := range want {
		if i >= len(got) || want[i] != got[i] {
			return fmt.Sprintf("%d\n got: %s\nwant: %s", i+1, strings.Join(got[min(i, len(got)):min(i+3, len(got))], "\n      "), want[i])
		}
	}
	return fmt.Sprintf("%d\n got: %s\nwant: the end", len(want), strings.Join(got[len(want):], "\n      "))
}

// play carries out a script and returns it with what happens.
func play(t *testing.T, script string) string {
	var out bytes.Buffer
	p := player{scene: newScene(t), connections: make(map[string]*device)}
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, " ") {
			continue
		}
		out.WriteString(line)
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			for _, happened := range p.command(words) {
				fmt.Fprintf(&out, "    %s\n", happened)
			}
		}
	}
	return out.String()
}
