package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"contact", "group", "max-a", "max-b", "max-c", "max-d", "new-device", "restore", "reflect"}
	for _, test := range []struct {
		word string
		want []string
	}{
		{"contct", []string{"contact"}},
		{"GRUOP", []string{"group"}},
		{"new", []string{"new-device"}},
		{"re", []string{"restore", "reflect"}},
		{"max-", nil}, // too many to be of help
		{"max-aa", []string{"max-a"}},
		{"nothing", nil},
		{"x", nil},
		{"", nil},
	} {
		if got := nearest(test.word, names); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.word, got, test.want)
		}
	}
}

// TestMistyped: what pflag and cobra find wrong is said as all else is, with the way out, and is not carried out.
func TestMistyped(t *testing.T) {
	for line, want := range map[string]string{
		"srve":                         `"srve" is not a command; is serve meant? See mediator --help`,
		"nothing":                      `"nothing" is not a command; see mediator --help`,
		"srve --listen x":              `"srve" is not a command; is serve meant?`,
		"--listen x":                   `--listen is not a flag here; it belongs behind a command; see mediator --help`,
		"serve --listn x":              `serve: --listn is not a flag; is --listen meant? See mediator serve --help`,
		"serve -listen x":              `serve: -listen is not a flag; is --listen meant?`,
		"serve --port 1":               `serve: --port is not a flag; see mediator serve --help`,
		"serve --max-slots":            `serve: --max-slots has no value; write --max-slots COUNT; see`,
		"serve now":                    `serve: "now" is one argument too many; leave it out; see`,
		"device reflect hello there":   `device reflect: "there" is one argument too many; quote a text with spaces in it; see`,
		"device transact --ttl soon x": `device transact: ttl: "soon" is not a time such as 90s, 10m or 24h; see`,
		"privacy --json=maybe":         `privacy: json: "maybe" is neither true nor false; see`,
		"invite lst":                   `invite: "lst" is not a command; is list meant?`,
		"invite revoke":                `invite revoke: ID is missing; see mediator invite revoke --help`,
		"completion bsh":               `completion: "bsh" is not a command; is bash or zsh meant?`,
		"help config chek":             `config: "chek" is not a command; is check meant?`,
	} {
		_, err := execute(strings.Fields(line)...)
		if err == nil || exitCode(err) != exitUsage || !strings.HasPrefix(report(err), "mediator: "+want) {
			t.Errorf("%s: got %v\twant %s", line, err, want)
		}
	}
}

func TestHelpCommand(t *testing.T) {
	asked, err := execute("help", "config", "check")
	if err != nil {
		t.Fatal(err)
	}
	flagged, err := execute("config", "check", "--help")
	if asked != flagged || asked == "" || err != nil {
		t.Errorf("help shows\n%s\n--help shows\n%s", asked, flagged)
	}
}

// execute carries out a command line in this process, and returns what it prints.
func execute(args ...string) (string, error) {
	var out strings.Builder
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(""))
	root.SetOut(&out)
	root.SetErr(io.Discard)
	err := root.Execute()
	return out.String(), err
}
