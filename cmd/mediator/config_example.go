package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newConfigExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Prints a configuration file with all settings",
		Long: `Prints a configuration file in which each setting of the server stands with its meaning, its range and its default. All of
them are comments, so that the file, as it is, changes nothing: take the # away before what you change.

` + exitCodes,
		Example: "  mediator config example > mediator.toml",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), exampleFile())
			return err
		},
	}
}

// samples are values of kinds whose settings mostly have no default.
var samples = map[kind]string{
	kindPath:     "/var/lib/mediator/data",
	kindURL:      "wss://mediator.example.net",
	kindTime:     "2030-12-31T18:00:00Z",
	kindUpstream: "chat.example.net:5222",
	kindProxy:    "socks5h://127.0.0.1:9050",
	kindIP:       "192.0.2.1",
}

// sample returns a value of a setting: the default if it has one.
func (r *setting) sample() string {
	if r.byDefault != "" {
		return r.byDefault
	}
	return samples[r.kind]
}

// exampleFile returns a configuration file that says of each setting what it has by default.
func exampleFile() string {
	var b strings.Builder
	b.WriteString(`# Configuration of "mediator serve", in TOML. The settings below are comments and show the defaults, or an example where
# there is none. Check what you change with "mediator config check". SIGHUP reads the file again.
`)
	for _, row := range serverRows() {
		if row.section != "" {
			fmt.Fprintf(&b, "\n### %s\n", row.section)
		}
		if row.notInFile {
			continue
		}
		text := strings.ToUpper(row.text[:1]) + row.text[1:] + ". Values: " + row.valuesInWords() + "."
		if row.restart != "" {
			text += " A change takes a restart."
		}
		fmt.Fprintf(&b, "\n%s#%s = %s\n", wrapped(text, "# ", 120), row.name, row.inFile(row.sample()))
	}
	return b.String()
}

// serverRows returns the settings of the server.
func serverRows() []*setting { return (&sources{audience: serverSettings}).rows() }

// wrapped breaks a text into lines of at most width bytes, each behind a prefix.
func wrapped(text, prefix string, width int) string {
	var b strings.Builder
	line := prefix
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = prefix + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
	return b.String()
}
