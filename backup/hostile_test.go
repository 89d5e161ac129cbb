package backup

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forged is an archive with a right checksum and files of anybody's choice between head and end.
func forged(t *testing.T, info Info, files ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	a := newArchive(&b)
	if err := a.addJSON(headName, info); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := a.tar.WriteHeader(file); err != nil {
			t.Fatal(err)
		}
		if _, err := a.tar.Write(make([]byte, file.Size)); err != nil {
			t.Fatal(err)
		}
		if err := a.tar.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.addJSON(endName, end{}), a.end()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func validInfo() Info { return Info{Format: 1, Schema: 1, Made: time.Now(), Keys: true} }

func plainFile(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3, Mode: 0o600, Format: tar.FormatUSTAR}
}

func TestForgedBackup(t *testing.T) {
	top := t.TempDir()
	path, dir := filepath.Join(top, "backup.tar"), filepath.Join(top, "data")
	file := func(change func(*tar.Header)) []byte {
		h := plainFile("tls/key.pem")
		change(h)
		return forged(t, validInfo(), h)
	}
	named := func(names ...string) []byte {
		var files []*tar.Header
		for _, name := range names {
			files = append(files, plainFile(name))
		}
		return forged(t, validInfo(), files...)
	}
	withoutKeys, older := validInfo(), validInfo()
	withoutKeys.Keys, older.Format = false, 0
	cases := map[string][]byte{
		"above":            named("../evil"),
		"above tls":        named("tls/../evil"),
		"above by far":     named("tls/../../../../tmp/evil"),
		"absolute":         named("/tmp/evil"),
		"absolute in tls":  named("tls//tmp/evil"),
		"deeper":           named("tls/below/key.pem"),
		"hidden":           named("tls/.key.pem"),
		"dots":             named("tls/.."),
		"backslash":        named(`tls\key.pem`),
		"newline":          named("tls/key\npem"),
		"the store itself": named("mediator.db"),
		"another":          named("other/file"),
		"twice":            named("tls/key.pem", "tls/key.pem"),
		"wrong order":      named("invitations/a", "tls/key.pem"),
		"piece 2":          named("store/00000002"),
		"no piece":         named("store/00000001"), // three zeroes are none
		"head twice":       named(headName),
		"link":             file(func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0 }),
		"hard link":        file(func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeLink, "/etc/passwd", 0 }),
		"device":           file(func(h *tar.Header) { h.Typeflag, h.Devmajor, h.Size = tar.TypeBlock, 8, 0 }),
		"pipe":             file(func(h *tar.Header) { h.Typeflag, h.Size = tar.TypeFifo, 0 }),
		"directory":        file(func(h *tar.Header) { h.Typeflag, h.Name, h.Size = tar.TypeDir, "tls/", 0 }),
		"extended": file(func(h *tar.Header) {
			h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"SCHILY.xattr.user.evil": "yes"}
		}),
		"long name":        file(func(h *tar.Header) { h.Format, h.Name = tar.FormatGNU, "tls/"+strings.Repeat("a", 300) }),
		"too large":        file(func(h *tar.Header) { h.Size = maxFile + 1 }),
		"unannounced keys": forged(t, withoutKeys, plainFile("tls/key.pem")),
		"format 0":         forged(t, older),
		"no archive":       []byte(strings.Repeat("text", 1000)),
		"zeroes":           make([]byte, 10_000),
		"empty":            {},
	}
	for name, data := range cases {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Restore(path, dir, true)
		if !errors.Is(err, ErrNotBackup) || strings.ContainsAny(err.Error(), "\n\\") && name != "newline" && name != "backslash" || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		}
		if left := tree(t, top); len(left) != 1 {
			t.Fatalf("%s: there are %d files", name, len(left))
		}
	}
	if _, err := Restore(os.DevNull, dir, true); !errors.Is(err, ErrNotBackup) {
		t.Errorf("a device: %v", err)
	}
	if err := os.WriteFile(path, named("tls/key.pem", "invitations/a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(path, dir, false); err != nil {
		t.Errorf("what is forged is refused for another reason: %v", err)
	}
}

func TestNewerBackup(t *testing.T) {
	for _, info := range []Info{{Format: 2, Schema: 1}, {Format: 1, Schema: 2}, {Format: 3, Schema: 9}} {
		dir := filepath.Join(t.TempDir(), "data")
		_, err := Restore(write(t, forged(t, info)), dir, true)
		if !errors.Is(err, ErrNewer) || len(tree(t, dir)) > 0 {
			t.Errorf("%+v: %v", info, err)
		}
	}
}

// FuzzCheck: nothing that a file may hold ends the process, and what is taken for a backup can be restored.
func FuzzCheck(f *testing.F) {
	frozen, err := os.ReadFile("testdata/v1.tar")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frozen)
	head, err := json.Marshal(validInfo())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Check(bytes.NewReader(data)); err == nil && !bytes.Contains(data, []byte(headName)) {
			t.Error("something else is taken for a backup")
		}
	})
}

var freeze = flag.Bool("backup.freeze", false, "write the backup in testdata anew; only for a version that nobody has used yet")

// A backup of this version can be restored by all later ones.
func TestFrozenBackup(t *testing.T) {
	if *freeze {
		if err := os.WriteFile("testdata/v1.tar", newBackup(t, Options{Program: "frozen"}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Restore("testdata/v1.tar", dir, false); err != nil {
		t.Fatal(err)
	}
	wantRestored(t, dir, true)
}

func TestFileNames(t *testing.T) {
	for name, want := range map[string]bool{
		"key.pem": true, "0_a-b.C": true, strings.Repeat("x", maxFileName): true, strings.Repeat("x", maxFileName+1): false,
		"": false, ".hidden": false, "-x": false, "a/b": false, `a\b`: false, "a\n": false, "ä": false, "a b": false,
	} {
		if got := isFileName(name); got != want {
			t.Errorf("%.20q: got %v, want %v", name, got, want)
		}
	}
}
