package main

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The rules that have a patch, one each.
const (
	firstRule = 7
	lastRule  = 34
)

//go:embed patches
var patchFiles embed.FS

// patch breaks one rule.
type patch struct {
	name   string // of its file
	rule   string // B7
	breaks string // how
	hunks  []hunk
}

// hunk replaces lines of a file. Both texts consist of whole lines.
type hunk struct {
	file     string // slash-separated, from the root of the repository
	old, new string
}

// readPatches returns the patches of all rules, in order.
func readPatches() (patches []patch, err error) {
	for number := firstRule; number <= lastRule; number++ {
		p := patch{name: fmt.Sprintf("B%02d.patch", number), rule: fmt.Sprintf("B%d", number)}
		text, err := patchFiles.ReadFile("patches/" + p.name)
		if err != nil {
			return nil, err
		}
		if err := p.parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		patches = append(patches, p)
	}
	return patches, nil
}

// parse reads the head line and the hunks.
func (p *patch) parse(text string) error {
	head, diff, _ := strings.Cut(text, "\n")
	breaks, ok := strings.CutPrefix(head, "# "+p.rule+": ")
	if !ok || breaks == "" {
		return fmt.Errorf("first line is %q, want \"# %s: what it breaks.\"", head, p.rule)
	}
	p.breaks = breaks
	var file string
	for line := range strings.Lines(diff) {
		if name, ok := strings.CutPrefix(line, "--- a/"); ok {
			file = strings.TrimSuffix(name, "\n")
			continue
		}
		if err := p.parseLine(file, line); err != nil {
			return err
		}
	}
	if len(p.hunks) == 0 {
		return fmt.Errorf("there is no hunk")
	}
	for _, h := range p.hunks {
		if h.old == h.new || h.old == "" {
			return fmt.Errorf("a hunk of %s changes nothing, or says not where", h.file)
		}
	}
	return nil
}

// parseLine takes a line of the diff that does not begin a file.
func (p *patch) parseLine(file, line string) error {
	switch last := len(p.hunks) - 1; {
	case file == "" || !strings.HasSuffix(line, "\n"):
		return fmt.Errorf("line %q stands before \"--- a/\", or is not a whole one", line)
	case line == "+++ b/"+file+"\n":
	case strings.HasPrefix(line, "@@ "):
		p.hunks = append(p.hunks, hunk{file: file})
	case last < 0 || p.hunks[last].file != file:
		return fmt.Errorf("line %q stands before \"@@\"", line)
	case line[0] == ' ':
		p.hunks[last].old += line[1:]
		p.hunks[last].new += line[1:]
	case line[0] == '-':
		p.hunks[last].old += line[1:]
	case line[0] == '+':
		p.hunks[last].new += line[1:]
	default:
		return fmt.Errorf("line %q is not of a unified diff", line)
	}
	return nil
}

// apply returns the files that the patch changes, as they are afterwards, by name.
func (p *patch) apply(tree fs.FS) (changed map[string]string, err error) {
	changed = make(map[string]string)
	for _, h := range p.hunks {
		content, known := changed[h.file]
		if !known {
			data, err := fs.ReadFile(tree, h.file)
			if err != nil {
				return nil, fmt.Errorf("%s does not apply: %w", p.name, err)
			}
			content = string(data)
		}
		if changed[h.file], err = h.apply(content); err != nil {
			return nil, fmt.Errorf("%s does not apply: %w", p.name, err)
		}
	}
	return changed, nil
}

func (h *hunk) apply(content string) (string, error) {
	content, old := "\n"+content, "\n"+h.old
	at := strings.Index(content, old)
	switch {
	case at < 0:
		return "", fmt.Errorf("%s: these lines are not there:\n%s", h.file, h.old)
	case at != strings.LastIndex(content, old):
		return "", fmt.Errorf("%s: these lines are there more than once:\n%s", h.file, h.old)
	}
	return content[1:at+1] + h.new + content[at+len(old):], nil
}

// packages returns the packages whose tests are to catch the patch: those of the core, and those that it changes besides.
func (p *patch) packages() []string {
	packages := []string{"devicegroup", "transactions", "reflect"}
	for _, h := range p.hunks {
		if dir := path.Dir(h.file); !slices.Contains(packages, dir) {
			packages = append(packages, dir)
		}
	}
	return packages
}
