package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const variablePrefix = "MEDIATOR_"

// variable is the name of the environment variable of a setting.
func (r *setting) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(r.name, "-", "_"))
}

// sources is where the values of one command's settings come from. In this order, the later one wins: what the table
// says, the environment, the flags.
type sources struct {
	audience []audience
	flags    map[string]*flag // by name
	environ  func(string) (string, bool)
}

// flag keeps the text of a flag until all sources are there. It is a pflag.Value.
type flag struct {
	row   *setting
	text  string
	given bool
}

func (f *flag) String() string { return f.text }

// Type is what the help text shows for the value. A switch has none, for which pflag looks out for "bool".
func (f *flag) Type() string {
	if f.row.kind == kindSwitch {
		return "bool"
	}
	return string(f.row.kind)
}

// Set takes the text. A flag for addresses or chat servers may be repeated.
func (f *flag) Set(text string) error {
	if f.given && (f.row.kind == kindAddresses || f.row.kind == kindUpstream) {
		text = f.text + "," + text
	}
	f.text, f.given = text, true
	return nil
}

// addSettings makes the flags of a command.
func addSettings(cmd *cobra.Command, environ func(string) (string, bool), of ...audience) *sources {
	src := &sources{audience: of, flags: make(map[string]*flag), environ: environ}
	cmd.Flags().SortFlags = false
	for _, row := range src.rows() {
		src.flags[row.name] = addFlag(cmd, row)
	}
	return src
}

// addFlag makes the flag of a row.
func addFlag(cmd *cobra.Command, row *setting) *flag {
	f := &flag{row: row, text: row.byDefault}
	added := cmd.Flags().VarPF(f, row.flagName(), "", row.help())
	if row.kind == kindSwitch {
		added.NoOptDefVal = "true"
	}
	return f
}

// rows returns the rows of the table that the command has.
func (src *sources) rows() []*setting {
	var rows []*setting
	for i := range table {
		if slices.Contains(src.audience, table[i].of) {
			rows = append(rows, &table[i])
		}
	}
	return rows
}

// load reads all settings. The error is a usageError and names the source of the wrong value.
func (src *sources) load() (*settings, error) {
	s := newSettings()
	for _, row := range src.rows() {
		text, from := row.byDefault, ""
		if value, ok := src.environ(row.variable()); ok {
			text, from = value, " (set by "+row.variable()+")"
		}
		if f := src.flags[row.name]; f.given {
			text, from = f.text, ""
		}
		if text == "" && row.byDefault == "" && from == "" {
			continue
		}
		if err := row.set(s, text); err != nil {
			return nil, usage("%v%s", err, from)
		}
	}
	return s, s.check()
}

// check finds values that are in range but contradict each other.
func (s *settings) check() error {
	if group := s.server.Group; group.GroupBytes < group.QueueBytes {
		return usage("max-group-bytes: %d bytes are less than max-queue-bytes, %d; raise the one or lower the other",
			group.GroupBytes, group.QueueBytes)
	}
	if s.server.StagedBytes < s.server.Group.StagedBytes {
		return usage("max-staged-bytes: %d bytes are less than max-transaction-bytes, %d; raise the one or lower the other",
			s.server.StagedBytes, s.server.Group.StagedBytes)
	}
	return s.resolveUpstreams()
}

// help is the text of the flag.
func (r *setting) help() string {
	text := r.text
	if limits := r.limits(); limits != "" {
		text += " (" + limits + ")"
	}
	if r.byDefault == "0" {
		text += " (default 0)" // pflag does not show it
	}
	return text
}

// unknownVariables returns the names in an environment that look like settings and are none, sorted.
func unknownVariables(environ []string) []string {
	known := make(map[string]bool)
	for i := range table {
		known[table[i].variable()] = true
	}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
