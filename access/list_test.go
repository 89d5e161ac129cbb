package access

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"openmediator/d2m"
)

// group returns one of 255 groups.
func group(n byte) (id d2m.GroupID) {
	id[0], id[7] = n, 9
	return id
}

func idOf(n byte) string { g := group(n); return hex.EncodeToString(g[:]) }

func TestParseList(t *testing.T) {
	text := "# a comment\n\n" + idOf(1) + "\n\t" + strings.ToUpper(idOf(2)) + "  # Anna's\r\ndeny " + idOf(3) + "#no space\ndeny\t" + idOf(4)
	list, err := ParseList([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []Verdict{Unlisted, Allowed, Allowed, Denied, Denied, Unlisted} {
		if got := list.Verdict(group(byte(n))); got != want {
			t.Errorf("group %d is %v, want %v", n, got, want)
		}
	}
	if len(list.Groups(Allowed)) != 2 || len(list.Groups(Denied)) != 2 {
		t.Error("wrong number of groups")
	}
}

func TestParseListRefuses(t *testing.T) {
	low := strings.Repeat("00", 32)
	for text, want := range map[string]string{
		idOf(1)[:62]:                  "line 1: its group id is not 64",
		idOf(1) + "00":                "line 1: its group id is not 64",
		"\n\n" + "x" + idOf(1)[1:]:    "line 3: its group id is not 64",
		idOf(1) + " " + idOf(2):       "line 1: it is neither",
		"deny":                        "line 1: it is neither",
		"deny deny " + idOf(1):        "line 1: it is neither",
		"allow " + idOf(1):            "line 1: it is neither",
		"Deny " + idOf(1):             "line 1: it is neither",
		low:                           "line 1: its group id is a low-order point",
		idOf(1) + "\n#\n" + idOf(1):   "line 3: its group stands in line 1 already",
		idOf(1) + "\ndeny " + idOf(1): "line 2: its group stands in line 1 already",
		"\xff\xfe" + idOf(1):          "line 1: its group id is not 64",
	} {
		_, err := ParseList([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), idOf(1)[:8]) {
			t.Errorf("%.80q: got %v, want %s", text, err, want)
		}
	}
}

func TestEdit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	before := "# head\n" + idOf(1) + " # Anna's\n\n  deny " + idOf(2) + "\t# Ben's\r\n" + idOf(3)
	write(t, path, before, 0o640)
	edit := func(n byte, verdict Verdict, want bool) {
		t.Helper()
		if changed, err := Edit(path, group(n), verdict); err != nil || changed != want {
			t.Fatalf("changed: %v, %v; want %v", changed, err, want)
		}
	}
	edit(1, Allowed, false)
	edit(2, Denied, false)
	if text := read(t, path); text != before {
		t.Errorf("changed for nothing: %q", text)
	}
	edit(1, Denied, true)
	edit(2, Allowed, true)
	edit(4, Denied, true)
	want := "# head\ndeny " + idOf(1) + " # Anna's\n\n  " + idOf(2) + "\t# Ben's\r\n" + idOf(3) + "\ndeny " + idOf(4) + "\n"
	if text := read(t, path); text != want {
		t.Errorf("got  %q\nwant %q", text, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
}

func TestEditMakesTheList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	if changed, err := Edit(path, group(1), Allowed); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	list, err := ParseList([]byte(read(t, path)))
	if err != nil || !list.Allowed(group(1)) {
		t.Error(err)
	}
}

func TestEditFollowsALink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "list"), "", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("list", link); err != nil {
		t.Fatal(err)
	}
	if _, err := Edit(link, group(1), Allowed); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(dir, "list")) != idOf(1)+"\n" {
		t.Error("the file behind the link was not changed")
	}
}

func TestEditLeavesABrokenListAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write(t, path, "nonsense\n", 0o600)
	nowhere := filepath.Join(path, "..", "none", "groups")
	if _, err := Edit(nowhere, group(1), Allowed); err == nil || !strings.Contains(err.Error(), "access list "+nowhere+": its directory is not there; make it") {
		t.Errorf("got %v", err)
	}
	if _, err := Edit(path, group(1), Allowed); err == nil || !strings.Contains(err.Error(), "access list "+path+": line 1:") {
		t.Error(err)
	}
	if read(t, path) != "nonsense\n" {
		t.Error("it was changed")
	}
	for _, path := range []string{filepath.Dir(path), filepath.Join(path, "below"), filepath.Join(filepath.Dir(path), "not", "there")} {
		if _, err := Edit(path, group(1), Allowed); err == nil {
			t.Errorf("%s was edited", path)
		}
	}
}

// Of several who edit at once nobody's change is lost.
func TestEditAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	var all sync.WaitGroup
	for n := range byte(20) {
		all.Go(func() {
			if _, err := Edit(path, group(n+1), Allowed); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := ParseList([]byte(read(t, path)))
	if err != nil || len(list.Groups(Allowed)) != 20 {
		t.Errorf("%d groups, %v", len(list.Groups(Allowed)), err)
	}
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte("# head\n"+idOf(1)+" # Anna's\n\ndeny "+idOf(2)), byte(1), true)
	f.Add([]byte(idOf(1)+"\r\n"+idOf(3)+"#"+idOf(2)), byte(3), true)
	f.Add([]byte(""), byte(7), false)
	f.Fuzz(func(t *testing.T, data []byte, n byte, deny bool) {
		before, err := ParseList(data)
		if err != nil || n == 0 {
			return
		}
		verdict := Allowed
		if deny {
			verdict = Denied
		}
		changed, different := change(data, group(n), verdict)
		if different == (before.Verdict(group(n)) == verdict) || !different && !bytes.Equal(changed, data) {
			t.Fatalf("different: %v", different)
		}
		after, err := ParseList(changed)
		if err != nil {
			t.Fatal(err)
		}
		before.verdicts[group(n)] = verdict
		if fmt.Sprint(before.verdicts) != fmt.Sprint(after.verdicts) {
			t.Fatalf("got %v, want %v", after.verdicts, before.verdicts)
		}
		if was, is := bytes.Count(data, []byte("#")), bytes.Count(changed, []byte("#")); was != is {
			t.Fatalf("%d marks of comments, were %d", is, was)
		}
	})
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
