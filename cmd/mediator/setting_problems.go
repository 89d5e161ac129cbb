package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// problem is one thing that is wrong with the settings.
type problem struct {
	setting string // its name; empty if it is about none
	text    string // one sentence with the way out
	from    string // of a value that stands in no file: where it comes from, if that is no flag

	file   *configFile // in which it stands; nil for none
	at     span
	syntax bool // the file is no TOML there
}

// String returns the sentence, with the place.
func (p *problem) String() string {
	switch {
	case p.file != nil:
		return fmt.Sprintf("%s:%d: %s", p.file.path, p.at.line, p.text)
	case p.from != "":
		return p.text + " (set by " + p.from + ")"
	}
	return p.text
}

// settingsError is all that is wrong with the settings.
type settingsError []problem

func (e settingsError) Error() string {
	var lines []string
	for i := range e {
		lines = append(lines, e[i].String())
	}
	return strings.Join(lines, "\n")
}

// report returns what is wrong for a terminal: each sentence behind a prefix, and below it the line of the file.
func (e settingsError) report(prefix string) string {
	var b strings.Builder
	for i := range e {
		fmt.Fprintf(&b, "%s%s\n%s", prefix, plainly(e[i].String()), e[i].excerpt())
	}
	return b.String()
}

// plainly is printable for what the operator has written: a backslash is one, so that it can be copied.
func plainly(text string) string { return strings.ReplaceAll(printable(text), `\\`, `\`) }

// excerptWidth is how many bytes of a line are shown.
const excerptWidth = 100

// excerpt returns the line of the file, and another that marks the place in it.
func (p *problem) excerpt() string {
	if p.file == nil {
		return ""
	}
	line := p.file.line(p.at.line)
	start, end := p.at.start, p.at.start+p.at.length
	from, to := 0, len(line)
	if len(line) > excerptWidth {
		from = alignRune(line, max(0, min(start-excerptWidth/2, len(line)-excerptWidth)))
		to = alignRune(line, min(len(line), from+excerptWidth))
		end = min(end, to)
	}
	before, marked, after := line[from:start], line[start:end], line[end:to]
	if from > 0 {
		before = "…" + before
	}
	if to < len(line) {
		after += "…"
	}
	show := func(text string) string { return plainly(strings.ReplaceAll(text, "\t", " ")) }
	margin := fmt.Sprintf("%5d", p.at.line)
	return fmt.Sprintf("%s | %s%s%s\n%s | %s%s\n", margin, show(before), show(marked), show(after), strings.Repeat(" ", len(margin)),
		strings.Repeat(" ", utf8.RuneCountInString(show(before))), strings.Repeat("^", max(1, utf8.RuneCountInString(show(marked)))))
}

// alignRune returns the beginning of the character that a place is in.
func alignRune(text string, at int) int {
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// suggestion says which setting may be meant by a word that is none.
func suggestion(word string) string {
	plain := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(word, variablePrefix)), "_", "-")
	var names []string
	for i := range table {
		switch row := &table[i]; {
		case rowInFile(row.name) == nil && row.name == plain:
			return " of the server: it belongs to another command, which reads no file"
		case rowInFile(row.name) != nil && !row.notInFile:
			names = append(names, row.name)
		}
	}
	if meant := nearest(plain, names); len(meant) > 0 {
		return isMeant(meant)
	}
	return `; "mediator config example" lists all there are`
}
