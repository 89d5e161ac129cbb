package main

import (
	"errors"
	stdflag "flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var rewrite = stdflag.Bool("rewrite", false, "write what broken configurations are answered with into testdata/broken.txt, to be read in the diff")

const brokenFile = "testdata/broken.txt"

// brokenConfig is an entry of the file: a line "=== name", a configuration, a line "---", what the program says.
type brokenConfig struct{ name, config, answer string }

func brokenConfigs(t testing.TB) (all []brokenConfig) {
	t.Helper()
	text, err := os.ReadFile(brokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for entry := range strings.SplitSeq(strings.TrimPrefix(string(text), "=== "), "\n=== ") {
		name, rest, _ := strings.Cut(entry, "\n")
		config, answer, found := strings.Cut(rest, "---\n")
		if !found {
			t.Fatalf("entry %q has no line ---", name)
		}
		all = append(all, brokenConfig{name, config, strings.TrimSuffix(answer, "\n") + "\n"})
	}
	return all
}

// TestBrokenConfigurations holds the words that each mistake gets.
func TestBrokenConfigurations(t *testing.T) {
	all := brokenConfigs(t)
	if len(all) < 30 {
		t.Errorf("there are %d", len(all))
	}
	var written strings.Builder
	for _, test := range all {
		got := "none\n"
		_, err := loadedFrom(t, test.config)
		var wrong settingsError
		if errors.As(err, &wrong) {
			got = wrong.report("")
		}
		written.WriteString("=== " + test.name + "\n" + test.config + "---\n" + got)
		if got != test.answer && !*rewrite {
			t.Errorf("%s:\n%s\nis answered with\n%s\nwant\n%s", test.name, test.config, got, test.answer)
		}
		if err == nil || exitCode(err) != exitUsage {
			t.Errorf("%s: error is %v", test.name, err)
		}
	}
	if *rewrite {
		writeFile(t, brokenFile, written.String())
	}
}

// loadedFrom reads the settings of serve from the text of a file and from flags.
func loadedFrom(t testing.TB, config string, args ...string) (*settings, error) {
	t.Helper()
	cmd := &cobra.Command{Use: "serve"}
	src := addSettings(cmd, withoutFile(nil), serverSettings...)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return src.loadWith(parseConfigFile("mediator.toml", []byte(config)))
}
