package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const configHelp = `The settings of "mediator serve" come from four places. In this order, the later one wins:

  1. the defaults
  2. a TOML file: --config, or MEDIATOR_CONFIG, or ` + defaultConfigFile + ` if it is there
  3. environment variables: max-slots is MEDIATOR_MAX_SLOTS
  4. flags: max-slots is --max-slots

In the file each setting stands on a line by the name of its flag. Counts are numbers, switches true or false, lists arrays of
strings, and all else strings as the flag has them:

  max-slots = 15
  max-queue-bytes = "1GiB"
  handshake-timeout = "20s"
  listen = ["127.0.0.1:8440", "unix:/run/mediator/socket"]

The device commands and "mediator chatserver" have flags and variables, and read no file.
`

func newConfigCommand() *cobra.Command {
	parent := newParent(&cobra.Command{
		Use:   "config",
		Short: "Checks, shows and explains the configuration of the server",
		Long:  configHelp + "\n" + exitCodes,
		Example: `  mediator config example > mediator.toml    # all settings, each with its meaning
  mediator config check --config mediator.toml
  mediator config show --origin              # what holds, and why`,
	})
	parent.AddCommand(newConfigCheckCommand(), newConfigShowCommand(), newConfigExampleCommand(), newConfigDocsCommand())
	return parent
}

func newConfigShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Prints the value of each setting",
		Long: `Prints the value that each setting of the server has with the flags and variables that are given here, as lines of a
configuration file. What has no value, or cannot stand in a file, is a comment.

` + exitCodes,
		Example: `  mediator config show
  mediator config show --origin --config /etc/mediator/mediator.toml
  MEDIATOR_MAX_SLOTS=15 mediator config show --origin --json`,
		Args: arguments(),
	}
	src := addSettings(cmd, os.LookupEnv, serverSettings...)
	origin := cmd.Flags().Bool("origin", false, "say for each where the value comes from: default, FILE:LINE, variable or flag")
	asJSON := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		if *asJSON {
			return s.showJSON(cmd, *origin)
		}
		out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, row := range src.rows() {
			line := plainly(row.line(s.values[row.name].text))
			if *origin {
				line += "\t# " + plainly(s.originOf(row))
			}
			fmt.Fprintln(out, line)
		}
		return out.Flush()
	}
	return cmd
}

// shownSetting is a line of "config show --json".
type shownSetting struct {
	Setting string `json:"setting"`
	Value   string `json:"value"` // as a flag would have it
	Origin  string `json:"origin,omitempty"`
}

func (s *settings) showJSON(cmd *cobra.Command, origin bool) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	for _, row := range s.sources.rows() {
		shown := shownSetting{Setting: row.name, Value: s.values[row.name].text}
		if origin {
			shown.Origin = s.originOf(row)
		}
		if err := out.Encode(shown); err != nil {
			return err
		}
	}
	return nil
}

// line returns the line of a file that has this value.
func (r *setting) line(text string) string {
	line := r.name + " = " + r.inFile(text)
	if text == "" && r.byDefault == "" || r.notInFile {
		return "#" + line
	}
	return line
}
