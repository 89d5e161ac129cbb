package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

//go:generate sh -c "go run . config docs > ../../docs/configuration.md"

func newConfigDocsCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "docs",
		Hidden: true,
		Short:  "Prints docs/configuration.md",
		Long: `Prints docs/configuration.md, which is made from the table of settings.

` + exitCodes,
		Example: "  mediator config docs",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), configurationDocument())
			return err
		},
	}
}

const documentHead = `# Configuration

This page is made from the table of settings: ` + "`go generate ./cmd/mediator`" + ` writes it anew.

The server needs no configuration. What it has comes from four places; in this order, the later one wins:

1. the defaults below
2. a TOML file: the one that ` + "`--config` or `MEDIATOR_CONFIG` names, else `" + defaultConfigFile + "`" + ` if it is there
3. environment variables: ` + "`max-slots` is `MEDIATOR_MAX_SLOTS`" + `
4. flags: ` + "`max-slots` is `--max-slots`" + `

` + "```toml" + `
max-slots = 15
max-queue-bytes = "1GiB"
handshake-timeout = "20s"
listen = ["127.0.0.1:8440", "unix:/run/mediator/socket"]
` + "```" + `

In the file a count is a number, a switch is ` + "`true` or `false`" + `, a list is an array of strings, and all else is a string as the flag
has it: bytes as in ` + "`65536`, `64KiB`, `256MiB`, `1GiB`, `1TiB`; times as in `90s`, `10m`, `24h`, `1h30m`" + `. There are no tables. A flag of a
list may be repeated; a variable has commas between the values.

` + "```sh" + `
bin/mediator config example
bin/mediator config check --config mediator.toml
bin/mediator config show --origin
` + "```" + `

` + "`config example`" + ` prints a file with all settings. ` + "`config check`" + ` says what is wrong, all of it at once, and tries what the server
will need: its exit code is 0 if nothing failed, 1 if something did, 2 if a setting is wrong. ` + "`config show --origin`" + ` tells where
each value comes from. A server with a wrong setting does not start. Variables that begin with ` + "`MEDIATOR_`" + ` and are no settings are
named in the log.

SIGHUP reads the file again. If nothing is wrong with it and no setting differs that takes a restart, everything changes at
once, and no connection ends; otherwise nothing changes. The log says which. A lower limit refuses who comes next, and who is
there stays. What is timed per connection, and the way to the chat server, changes for connections that come from then on.

`

// configurationDocument returns docs/configuration.md.
func configurationDocument() string {
	var b strings.Builder
	b.WriteString(documentHead)
	b.WriteString("## The server\n")
	writeRows(&b, serverRows(), true)
	b.WriteString("\n## Other commands\n\nThese have flags and variables, and read no file.\n")
	writeRows(&b, (&sources{audience: []audience{ofChatServer, ofDevice, ofDeviceFile}}).rows(), false)
	return b.String()
}

// writeRows writes tables of settings, one per section. Those that a running server may have changed have a column for it.
func writeRows(b *strings.Builder, rows []*setting, running bool) {
	for _, row := range rows {
		if row.section != "" {
			fmt.Fprintf(b, "\n### %s\n\n", row.section)
			if running {
				b.WriteString("| setting | meaning | values | default | changed by |\n|---|---|---|---|---|\n")
			} else {
				b.WriteString("| flag | variable | meaning | values | default |\n|---|---|---|---|---|\n")
			}
		}
		byDefault := "none"
		switch {
		case row.byDefault != "":
			byDefault = "`" + row.byDefault + "`"
		case strings.Contains(row.text, "(default"):
			byDefault = "see left"
		}
		cells := []string{"`" + row.name + "`", row.text, row.valuesInWords(), byDefault, "SIGHUP"}
		if row.restart != "" {
			cells[4] = "restart: " + row.restart
		}
		if !running {
			cells = []string{"`--" + row.flagName() + "`", "`" + row.variable() + "`", row.text, row.valuesInWords(), byDefault}
		}
		for i, cell := range cells {
			cells[i] = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(cell)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

// valuesInWords says which values a setting takes: the unit and the range.
func (r *setting) valuesInWords() string {
	words := string(r.kind)
	switch r.kind {
	case kindAddresses:
		words = "list of addresses"
	case kindUpstream:
		words = "list of upstreams"
	case kindSwitch:
		return "true or false"
	case kindCount:
		words = "number"
	case kindProxy:
		words = "URL"
	case kindDuration:
		words = "time"
	case kindTime:
		words = "date and time"
	case kindPattern:
		words = "regular expression"
	case kindIP:
		words = "IP address"
	}
	limits := r.limits()
	switch {
	case limits == "":
		return words
	case r.low == "":
		return limits
	case r.zero != "" && r.unit != "":
		return words + " of " + r.unit + ", " + limits
	}
	return words + ", " + limits
}
