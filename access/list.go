package access

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"openmediator/d2m"
)

// MaxListFile is the largest list that is read, bytes: 200,000 groups.
const MaxListFile = 16 << 20

// List is what an access list says. The zero value says nothing of any group.
type List struct{ verdicts map[d2m.GroupID]Verdict }

// Verdict is what a list says of a group.
type Verdict uint8

const (
	Unlisted Verdict = iota
	Allowed
	Denied
)

var verdictNames = [...]string{"", "allowed", "denied"}

// String returns "allowed" or "denied", and nothing for a group that is not on the list.
func (v Verdict) String() string { return verdictNames[v] }

// denyWord stands before a group that is denied.
const denyWord = "deny"

// Verdict returns what the list says of a group.
func (l *List) Verdict(group d2m.GroupID) Verdict { return l.verdicts[group] }

// Allowed says whether the list allows a group.
func (l *List) Allowed(group d2m.GroupID) bool { return l.verdicts[group] == Allowed }

// Denied says whether the list denies a group.
func (l *List) Denied(group d2m.GroupID) bool { return l.verdicts[group] == Denied }

// Groups returns the groups that have a verdict, in no order. The slice is the caller's.
func (l *List) Groups(v Verdict) (groups []d2m.GroupID) {
	for group, verdict := range l.verdicts {
		if verdict == v {
			groups = append(groups, group)
		}
	}
	return groups
}

// ParseList reads the content of an access list: a group id per line, 64 hexadecimal digits, which is allowed, or denied if
// "deny" stands before it. What follows a # is a comment. The error names the line, and nothing that stands in it (B42).
func ParseList(data []byte) (*List, error) {
	list := &List{verdicts: make(map[d2m.GroupID]Verdict)}
	lines := make(map[d2m.GroupID]int)
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		group, verdict, err := parseLine(string(raw))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if verdict == Unlisted {
			continue
		}
		if earlier := lines[group]; earlier != 0 {
			return nil, fmt.Errorf("line %d: its group stands in line %d already", number, earlier)
		}
		list.verdicts[group], lines[group] = verdict, number
	}
	return list, nil
}

// parseLine reads one line. The verdict is Unlisted if it holds no group.
func parseLine(line string) (group d2m.GroupID, verdict Verdict, err error) {
	content, _, _ := strings.Cut(line, "#")
	fields := strings.Fields(content)
	if len(fields) == 0 {
		return group, Unlisted, nil
	}
	verdict = Allowed
	if fields[0] == denyWord {
		verdict, fields = Denied, fields[1:]
	}
	if len(fields) != 1 {
		return group, Unlisted, fmt.Errorf("it is neither a group id nor %q and a group id", denyWord)
	}
	group, err = ParseGroupID(fields[0])
	return group, verdict, err
}

// ParseGroupID reads a group id of 64 hexadecimal digits. The error does not repeat it.
func ParseGroupID(text string) (group d2m.GroupID, err error) {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(group) {
		return group, fmt.Errorf("its group id is not %d hexadecimal digits", 2*len(group))
	}
	if group = d2m.GroupID(data); !group.Valid() {
		return group, errors.New("its group id is a low-order point, which no group has")
	}
	return group, nil
}

// change returns the content of a list with another verdict on a group: in the group's line if it has one, whose comment
// stays, else in a line at the end. It reports whether anything is different.
func change(data []byte, group d2m.GroupID, verdict Verdict) (changed []byte, different bool) {
	entry := hex.EncodeToString(group[:])
	if verdict == Denied {
		entry = denyWord + " " + entry
	}
	var out []byte
	for raw := range bytes.Lines(data) {
		line := string(raw)
		found, was, _ := parseLine(line)
		if was == Unlisted || found != group {
			out = append(out, raw...)
			continue
		}
		if was == verdict {
			return data, false
		}
		content, rest, commented := strings.Cut(line, "#")
		text := strings.TrimSpace(content)
		start := strings.Index(content, text)
		out = append(out, content[:start]+entry+content[start+len(text):]...)
		if commented {
			out = append(out, "#"+rest...)
		}
		different = true
	}
	if different {
		return out, true
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, entry+"\n"...), true
}
