package main

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestThereIsOnePatchPerRuleAndItApplies(t *testing.T) {
	patches, err := readPatches()
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.ReadDir(patchFiles, "patches")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(patches) || len(patches) != lastRule-firstRule+1 {
		t.Errorf("%d files for %d rules", len(files), lastRule-firstRule+1)
	}
	for _, p := range patches {
		if _, err := p.apply(os.DirFS("../..")); err != nil {
			t.Error(err)
		}
	}
}

const (
	sample = `# B7: two becomes deux, and four goes.
--- a/x/file
+++ b/x/file
@@ -1,2 +1,2 @@
 one
-two
+deux
@@ -9,2 +9 @@ three
 three
-four
`
	before = "zero\none\ntwo\nthree\nfour\n"
	after  = "zero\none\ndeux\nthree\n"
)

func parsed(t *testing.T, text string) patch {
	t.Helper()
	p := patch{name: "B07.patch", rule: "B7"}
	if err := p.parse(text); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestApply(t *testing.T) {
	p := parsed(t, sample)
	changed, err := p.apply(fstest.MapFS{"x/file": {Data: []byte(before)}})
	if err != nil || len(changed) != 1 || changed["x/file"] != after {
		t.Errorf("%q, %v, want %q", changed, err, after)
	}
	if p.breaks != "two becomes deux, and four goes." {
		t.Errorf("it breaks %q", p.breaks)
	}
	if got := strings.Join(p.packages(), " "); got != "devicegroup transactions reflect x" {
		t.Errorf("packages %s", got)
	}
}

func TestPatchThatDoesNotApply(t *testing.T) {
	p := parsed(t, sample)
	for name, content := range map[string]string{
		"another line":      strings.Replace(before, "two", "too", 1),
		"another context":   strings.Replace(before, "one", "uno", 1),
		"end of a line":     strings.Replace(before, "one", "and one", 1),
		"second hunk":       strings.Replace(before, "four", "for", 1),
		"no end of line":    strings.TrimSuffix(before, "\n"),
		"twice":             before + before,
		"once more, behind": before + "one\ntwo\none\ntwo\n",
		"nothing":           "",
	} {
		if changed, err := p.apply(fstest.MapFS{"x/file": {Data: []byte(content)}}); err == nil {
			t.Errorf("%s: %q", name, changed)
		}
	}
	if _, err := p.apply(fstest.MapFS{}); err == nil {
		t.Error("no file: no error")
	}
	twice := parsed(t, "# B7: x\n--- a/f\n@@ -1 +1 @@\n-x\n+y\n")
	if changed, err := twice.apply(fstest.MapFS{"f": {Data: []byte("x\nx\n")}}); err == nil {
		t.Errorf("two equal lines side by side: %q", changed)
	}
}

func TestPatchThatIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":             "",
		"no head":           strings.TrimPrefix(sample, "# B7: two becomes deux, and four goes.\n"),
		"another rule":      strings.Replace(sample, "B7", "B8", 1),
		"says nothing":      strings.Replace(sample, "two becomes deux, and four goes.", "", 1),
		"no file":           strings.Replace(sample, "--- a/x/file\n", "", 1),
		"another file":      strings.Replace(sample, "+++ b/x/file", "+++ b/x/other", 1),
		"no hunk":           "# B7: x\n--- a/x/file\n+++ b/x/file\n",
		"line before hunks": strings.Replace(sample, "@@ -1,2 +1,2 @@\n", "", 1),
		"stray line":        sample + "\\ No newline at end of file\n",
		"empty line":        sample + "\n",
		"half a line":       strings.TrimSuffix(sample, "\n"),
		"changes nothing":   strings.NewReplacer("-two\n", "", "+deux\n", "").Replace(sample),
		"says not where":    "# B7: x\n--- a/x/file\n+++ b/x/file\n@@ -0,0 +1 @@\n+new\n",
	} {
		p := patch{name: "B07.patch", rule: "B7"}
		if err := p.parse(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
