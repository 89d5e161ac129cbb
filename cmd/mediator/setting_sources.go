package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const variablePrefix = "MEDIATOR_"

// defaultConfigFile is read if it is there and no other file is named.
const defaultConfigFile = "/etc/mediator/mediator.toml"

// variable is the name of the environment variable of a setting.
func (r *setting) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(r.name, "-", "_"))
}

// sources is where the values of one command's settings come from. In this order, the later one wins: what the table
// says, the configuration file, the environment, the flags. Only the server's commands read a file.
type sources struct {
	audience []audience
	only     []string         // the names of the rows that the command has of its audience's; nil: all
	flags    map[string]*flag // by name
	environ  func(string) (string, bool)
}

// origin is where the text of a setting comes from, in the order of precedence.
type origin uint8

const (
	fromTable origin = iota
	fromFile
	fromVariable
	fromFlag
)

// value is the text of a setting, and where it comes from.
type value struct {
	text string
	from origin
	file *configFile // fromFile
	at   span        // in the file
}

// values are those of one reading, by setting.
type values map[string]value

// last returns which of some settings comes from what takes precedence; of several, the last one.
func (v values) last(names []string) string {
	best := names[0]
	for _, name := range names {
		if v[name].from >= v[best].from {
			best = name
		}
	}
	return best
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
	if f.given && f.row.kind.isList() {
		text = f.text + "," + text
	}
	f.text, f.given = text, true
	return nil
}

// addSettings makes the flags of a command.
func addSettings(cmd *cobra.Command, environ func(string) (string, bool), of ...audience) *sources {
	src := &sources{audience: of, environ: environ}
	src.addTo(cmd)
	return src
}

// addServerSettings makes the flags of a command that needs to know some settings of the server, and where they stand.
func addServerSettings(cmd *cobra.Command, names ...string) *sources {
	src := &sources{audience: serverSettings, only: append(names, "config"), environ: os.LookupEnv}
	src.addTo(cmd)
	return src
}

func (src *sources) addTo(cmd *cobra.Command) {
	src.flags = make(map[string]*flag)
	cmd.Flags().SortFlags = false
	for _, row := range src.rows() {
		src.flags[row.name] = addFlag(cmd, row)
	}
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
		if slices.Contains(src.audience, table[i].of) && (src.only == nil || slices.Contains(src.only, table[i].name)) {
			rows = append(rows, &table[i])
		}
	}
	return rows
}

// load reads all settings. The error is a settingsError, with all that is wrong, or tells why there is no file to be read.
func (src *sources) load() (*settings, error) {
	file, err := src.readFile()
	if err != nil {
		return nil, usageError(err.Error())
	}
	return src.loadWith(file)
}

// loadWith is load with a file that has been read, or nil.
func (src *sources) loadWith(file *configFile) (*settings, error) {
	s := newSettings()
	s.sources, s.values = src, make(values)
	var wrong []problem
	if file != nil {
		s.file = file.path
		wrong = file.problems
	}
	for _, row := range src.rows() {
		v := src.value(row, file)
		s.values[row.name] = v
		if v.text == "" && v.from == fromTable {
			continue
		}
		if err := row.set(s, v.text); err != nil {
			wrong = append(wrong, s.values.located(problem{setting: row.name, text: err.Error()}))
		}
	}
	for _, p := range s.relate(wrong) {
		wrong = append(wrong, s.values.located(p))
	}
	if len(wrong) > 0 {
		return nil, settingsError(wrong)
	}
	return s, nil
}

// readFile reads the configuration file; nil if there is none.
func (src *sources) readFile() (*configFile, error) {
	if !slices.Contains(src.audience, ofConfig) {
		return nil, nil
	}
	row, s := rowInFile("config"), newSettings()
	v := src.value(row, nil)
	if v.from == fromTable {
		return readConfigFile(defaultConfigFile, false)
	}
	if err := row.set(s, v.text); err != nil || s.config == "" {
		return nil, err
	}
	return readConfigFile(s.config, true)
}

// value returns the text of a setting that takes precedence. What a file says wrong is not in its values.
func (src *sources) value(row *setting, file *configFile) value {
	if f := src.flags[row.name]; f.given {
		return value{text: f.text, from: fromFlag}
	}
	if text, ok := src.environ(row.variable()); ok {
		return value{text: text, from: fromVariable}
	}
	if file != nil {
		if v, ok := file.values[row.name]; ok {
			return value{text: v.text, from: fromFile, file: file, at: v.at}
		}
	}
	return value{text: row.byDefault}
}

// located adds to a problem where its setting comes from.
func (v values) located(p problem) problem {
	switch value := v[p.setting]; value.from {
	case fromFile:
		p.file, p.at = value.file, value.at
	case fromVariable:
		p.from = rowOf(p.setting).variable()
	}
	return p
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
