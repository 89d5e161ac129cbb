package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	// maxConfigFile is how long a configuration file may be, bytes.
	maxConfigFile = 1 << 20

	// maxProblems is how many are told of one file.
	maxProblems = 50
)

// configFile is a configuration file as it was read: in TOML, each setting by its name, no tables. The parser of go-toml
// is used without its decoder, which knows no lines of values and stops at the first mistake.
type configFile struct {
	path     string
	text     string
	values   map[string]fileValue // by setting
	problems []problem
}

// fileValue is what a file says of a setting.
type fileValue struct {
	text string // as a flag would have it
	at   span   // of the value
}

// span is a part of one line.
type span struct {
	line   int // from 1
	start  int // in the line, bytes from 0
	length int // bytes; may be 0
}

// readConfigFile reads the file with this name; nil without an error if there is none and it is only looked for.
func readConfigFile(path string, named bool) (*configFile, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("config: %s cannot be read: %w; name another file with --config, or none with --config=", path, reason(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("config: %s is no regular file; name one with --config", path)
	case info.Size() > maxConfigFile:
		return nil, fmt.Errorf("config: %s has %d bytes, and more than %d are no configuration; name another file with --config",
			path, info.Size(), maxConfigFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %s cannot be read: %w; let this user read it", path, reason(err))
	}
	return parseConfigFile(path, text), nil
}

// parseConfigFile takes the text of a file. What is wrong with it is among its problems.
func parseConfigFile(path string, text []byte) *configFile {
	f := &configFile{path: path, text: string(text), values: make(map[string]fileValue)}
	lines := make(map[string]int) // in which a setting was first seen
	for rest := text; len(f.problems) < maxProblems; {
		p := new(unstable.Parser)
		p.Reset(rest)
		clear(lines)
		clear(f.values)
		f.problems = slices.DeleteFunc(f.problems, func(p problem) bool { return !p.syntax })
		for p.NextExpression() {
			f.take(p, lines)
		}
		var wrong *unstable.ParserError
		if !errors.As(p.Error(), &wrong) {
			break
		}
		at := f.spanOf(p, p.Range(wrong.Highlight))
		if rest = f.syntaxError(rest, at, wrong.Message); rest == nil {
			break
		}
	}
	slices.SortStableFunc(f.problems, func(a, b problem) int { return a.at.line - b.at.line })
	return f
}

// spanOf returns where a part of the document is, or its first line if it has several.
func (f *configFile) spanOf(p *unstable.Parser, r unstable.Range) span {
	start := p.Shape(r).Start
	line := f.line(start.Line)
	from := min(start.Column-1, len(line))
	return span{start.Line, from, min(int(r.Length), len(line)-from)}
}

// line returns a line, without its end.
func (f *configFile) line(number int) string {
	for line := range strings.SplitSeq(f.text, "\n") {
		if number--; number == 0 {
			return strings.TrimSuffix(line, "\r")
		}
	}
	return ""
}

// wrong notes a problem.
func (f *configFile) wrong(setting string, at span, format string, args ...any) {
	f.problems = append(f.problems, problem{setting: setting, text: fmt.Sprintf(format, args...), file: f, at: at})
}

// syntaxError notes that text is no TOML at a place. It returns the text without that line, if what follows may make sense:
// so that all mistakes are told at once.
func (f *configFile) syntaxError(text []byte, at span, message string) []byte {
	line := f.line(at.line)
	key, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	row := rowInFile(strings.TrimSpace(key))
	own := row != nil && at.start > len(key) // the mistake is in the value, and not in something before that goes on
	advice := "each line is as in max-slots = 10, and a comment begins with #"
	switch {
	case own && strings.HasPrefix(message, "expected newline"):
		advice = "each setting has a line of its own"
	case own && value == "":
		message, advice = "has no value", row.writtenAs("")
	case own:
		advice = row.writtenAs(value)
	case strings.Contains(message, "array"):
		advice = "a list has to end with ]"
	}
	if own {
		f.wrong(row.name, at, "%s: %s; %s", row.name, message, advice)
	} else {
		f.wrong("", at, "%s; %s", message, advice)
	}
	f.problems[len(f.problems)-1].syntax = true
	if !own || strings.Contains(line, "[") != strings.Contains(line, "]") || strings.Contains(value, `"""`) || strings.Contains(value, "'''") {
		return nil
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[at.line-1] = strings.Repeat(" ", len(strings.TrimRight(lines[at.line-1], "\r\n"))) + "\n"
	return []byte(strings.Join(lines, ""))
}

// take notes what one expression says.
func (f *configFile) take(p *unstable.Parser, lines map[string]int) {
	e := p.Expression()
	var parts []string
	var at span
	for it := e.Key(); it.Next(); {
		if len(parts) == 0 {
			at = f.spanOf(p, it.Node().Raw)
		}
		parts = append(parts, string(it.Node().Data))
	}
	key := strings.Join(parts, ".")
	if e.Kind != unstable.KeyValue {
		f.wrong("", at, "[%s] is a table, and settings stand in none; leave the line out", key)
		return
	}
	row := rowInFile(key)
	switch {
	case row == nil:
		f.wrong("", at, "%q is not a setting%s", key, suggestion(key))
	case row.notInFile:
		f.wrong(key, at, "%s: stands in no file; use --%s or %s", key, row.flagName(), row.variable())
	case lines[key] > 0:
		f.wrong(key, at, "%s: stands in line %d already; leave one of them out", key, lines[key])
	default:
		lines[key] = at.line
		f.setValue(p, row, e.Value(), at)
	}
}

// setValue notes the value of a setting; its key is at a place.
func (f *configFile) setValue(p *unstable.Parser, row *setting, node *unstable.Node, key span) {
	at := key // of a value without a place of its own
	if node.Raw.Length > 0 {
		at = f.spanOf(p, node.Raw)
	}
	if node.Kind != unstable.Array || !row.kind.isList() {
		if text, ok := f.scalar(row, node, at, row.kind.isList()); ok {
			f.check(row, text, at)
		}
		return
	}
	var texts []string
	sound := true
	for it := node.Children(); it.Next(); {
		place := at
		if it.Node().Raw.Length > 0 {
			place = f.spanOf(p, it.Node().Raw)
		}
		text, ok := f.scalar(row, it.Node(), place, false)
		switch {
		case !ok:
			sound = false
		case strings.Contains(text, ","):
			f.wrong(row.name, place, "%s: %q has a comma; write each value for itself, with quotes around it", row.name, text)
			sound = false
		default:
			sound = f.check(row, text, place) && sound
			texts = append(texts, text)
		}
	}
	if sound {
		f.values[row.name] = fileValue{strings.Join(texts, ","), at}
	}
}

// check notes the text of a setting, or what is wrong with it.
func (f *configFile) check(row *setting, text string, at span) bool {
	if err := row.set(newSettings(), text); err != nil {
		f.wrong(row.name, at, "%v", err)
		return false
	}
	f.values[row.name] = fileValue{text, at}
	return true
}

// scalar returns the text of a value that is no array, if it has the type that the setting wants and listed is not set.
func (f *configFile) scalar(row *setting, node *unstable.Node, at span, listed bool) (text string, ok bool) {
	text = string(node.Data)
	switch node.Kind {
	case unstable.Integer:
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			f.wrong(row.name, at, "%s: %s is too large a number", row.name, text)
			return "", false
		}
		text = strconv.FormatInt(n, 10)
		ok = row.kind == kindCount || row.kind == kindBytes
	case unstable.Bool:
		ok = row.kind == kindSwitch
	case unstable.DateTime:
		ok = row.kind == kindTime
	case unstable.String:
		ok = row.kind != kindCount && row.kind != kindSwitch
	}
	if ok = ok && !listed; !ok {
		f.wrong(row.name, at, "%s: %s is wanted, not %s; %s", row.name, row.kind.inFile(), typeInWords(node.Kind), row.writtenAs(text))
	}
	return text, ok
}

// inFile says of which type a value is in a file.
func (k kind) inFile() string {
	switch {
	case k.isList():
		return "a list of strings"
	case k == kindCount:
		return "a whole number"
	case k == kindSwitch:
		return "true or false"
	case k == kindBytes:
		return "a string with a number of bytes"
	case k == kindDuration:
		return "a string with a time"
	case k == kindTime:
		return "a date and time"
	}
	return "a string"
}

func typeInWords(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Integer:
		return "a number"
	case unstable.Bool:
		return "true or false"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}

// inFile returns the value of a setting as it stands in a file.
func (r *setting) inFile(text string) string {
	switch {
	case r.kind == kindCount, r.kind == kindSwitch:
		return text
	case !r.kind.isList():
		return tomlString(text)
	case text == "":
		return "[]"
	}
	var all []string
	for _, part := range splitList(text) {
		all = append(all, tomlString(part))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// writtenAs says how a value is written: what was written, if that can be meant.
func (r *setting) writtenAs(written string) string {
	sample := r.sample()
	written = strings.Trim(written, `"'[] `)
	for _, text := range []string{written + "s", written} {
		if written != "" && r.set(newSettings(), text) == nil {
			sample = text
		}
	}
	return "write it as in " + r.name + " = " + r.inFile(sample)
}

// tomlString returns a text as a basic string.
func tomlString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// rowInFile returns the setting of the server with this name, or nil.
func rowInFile(name string) *setting {
	if row := rowOf(name); row != nil && slices.Contains(serverSettings, row.of) {
		return row
	}
	return nil
}
