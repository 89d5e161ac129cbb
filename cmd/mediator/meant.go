package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxMeant is how many names may be meant: more are no help.
const maxMeant = 3

// nearest returns which of the names may be meant by a word that is none of them: those that it begins, else those that differ
// from it in the fewest letters. These are one and a third of its own at most, and three.
func nearest(word string, names []string) []string {
	word = strings.ToLower(word)
	begun := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return word == "" || !strings.HasPrefix(name, word) })
	least, alike := min(3, 1+len(word)/3), []string(nil)
	for _, name := range names {
		switch d := editDistance(name, word); {
		case d < least:
			least, alike = d, []string{name}
		case d == least:
			alike = append(alike, name)
		}
	}
	for _, meant := range [][]string{begun, alike} {
		if len(meant) > 0 && len(meant) <= maxMeant {
			return meant
		}
	}
	return nil
}

// isMeant is the end of a sentence about a word that is no name: what may be meant, or nothing.
func isMeant(meant []string) string {
	if len(meant) == 0 {
		return ""
	}
	return "; is " + strings.Join(meant, " or ") + " meant?"
}

// editDistance is how many bytes have to be put in, taken out or replaced to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // of the distances from what is read of a to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// notACommand says that a command has none of this name below it, and which one may be meant.
func notACommand(parent *cobra.Command, word string) error {
	var names []string
	for _, cmd := range parent.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	return usageOf(parent, "%q is not a command%s", word, isMeant(nearest(word, names)))
}

// flagError says in our own words what pflag says of the flags of a command line.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var alone *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case cmd.HasAvailableSubCommands() && cmd.Flags().NArg() > 0:
		return notACommand(cmd, cmd.Flags().Arg(0)) // whose flag it is
	case errors.As(err, &unknown):
		dashes, name := "--", unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			dashes, name = "-", short // the whole word: whoever writes -listen means --listen
		}
		meant := isMeant(nearestFlags(cmd, name))
		if meant == "" && cmd.HasAvailableSubCommands() {
			meant = " here; it belongs behind a command"
		}
		return usageOf(cmd, "%s%s is not a flag%s", dashes, name, meant)
	case errors.As(err, &alone):
		kind, _ := pflag.UnquoteUsage(alone.GetFlag())
		return usageOf(cmd, "--%s has no value; write --%[1]s %s", alone.GetSpecifiedName(), strings.ToUpper(kind))
	case errors.As(err, &wrong):
		return usageOf(cmd, "%s: %v", wrong.GetFlag().Name, notOfType(wrong.GetFlag().Value.Type(), wrong.GetValue()))
	}
	return usageOf(cmd, "%v", err)
}

// nearestFlags returns which flags of a command may be meant, with their dashes.
func nearestFlags(cmd *cobra.Command, name string) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" { // which is named anyway
			names = append(names, f.Name)
		}
	})
	meant := nearest(name, names)
	for i := range meant {
		meant[i] = "--" + meant[i]
	}
	return meant
}

// notOfType says why a text will not do for a flag that pflag reads by itself.
func notOfType(kind, text string) error {
	var err error
	switch kind {
	case "bool":
		_, err = parseSwitch(text)
	case "duration":
		_, err = kindDuration.number(text)
	}
	if err == nil {
		err = fmt.Errorf("%q is not a %s", text, kind)
	}
	return err
}
