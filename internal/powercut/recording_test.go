package powercut

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What could change a file without being modelled is an error.
func TestRecording_Refuses(t *testing.T) {
	for name, s := range map[string]*script{
		"shared map":       named().line("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000"),
		"write":            named().line("openat(AT_FDCWD, %s, O_RDWR) = 5", escape("/r/x")).line("write(5, %s, 1) = 1", escape("a")),
		"fallocate":        named().line("fallocate(3, 0, 0, 4096) = 0"),
		"copy":             named().line("copy_file_range(9, NULL, 3, NULL, 100, 0) = 100"),
		"truncate":         named().line("truncate(%s, 0) = 0", escape("/r/x")),
		"unknown file":     new(script).line("openat(AT_FDCWD, %s, O_RDWR) = 3", escape("/r/x")),
		"other directory":  named().line("renameat(AT_FDCWD, %s, AT_FDCWD, %s) = 0", escape("/r/x"), escape("/elsewhere")),
		"killed in rename": named().line("renameat(AT_FDCWD, %s, AT_FDCWD, %s) = ?", escape("/r/x"), escape("/r/y")),
		"killed in open":   new(script).line("openat(AT_FDCWD, %s, O_CREAT|O_RDWR <unfinished ...>", escape("/r/x")),
		"cut off":          named().line(`pwrite64(3, "\x61"..., 2, 0) = 2`),
	} {
		t.Run(name, func(t *testing.T) {
			if err := NewRecording("/r").Add(strings.NewReader(s.String()), func(Output) bool { return true }); err == nil {
				t.Error("no error")
			}
		})
	}
}

// What is done to other files, and what has failed, changes nothing.
func TestRecording_Ignores(t *testing.T) {
	s := named().
		line("openat(AT_FDCWD, %s, O_RDWR|O_CREAT, 0600) = 5", escape("/rest/x")).
		line("pwrite64(5, %s, 1, 0) = 1", escape("a")).
		line("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5, 0) = 0x7f0000000000").
		line("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000").
		line("pwrite64(3, %s, 1, 0) = -1 EIO (Input/output error)", escape("a")).
		line("ftruncate(3, 100) = -1 EIO (Input/output error)").
		line("unlinkat(AT_FDCWD, %s, 0) = -1 ENOENT (No such file or directory)", escape("/r/y")).
		line("openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC) = 6", escape("/r/gone")).
		line("close(3) = 0").
		line("openat(AT_FDCWD, %s, O_RDWR|O_CREAT, 0600) = 3", escape("/rest/y")).
		write(3, "a", 0)
	r := NewRecording("/r")
	if err := r.Add(strings.NewReader(s.String()), func(Output) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if r.Operations() != 2 { // the creation of x and the sync of the directory
		t.Errorf("%d operations: %v", r.Operations(), r.operations)
	}
}

func TestRecording_Complete(t *testing.T) {
	root := t.TempDir()
	text := strings.ReplaceAll(new(script).create("x", 3).write(3, "abc", 0).String(), escape("/r/x"), escape(root+"/x"))
	r := NewRecording(root)
	if err := r.Add(strings.NewReader(text), func(Output) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, content string
		fine          bool
	}{
		{"x", "abc", true}, {"x", "abcd", false}, {"x", "abd", false}, {"y", "", false},
	} {
		if err := os.WriteFile(filepath.Join(root, test.name), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.Complete(); (err == nil) != test.fine {
			t.Errorf("%s with %q: %v", test.name, test.content, err)
		}
	}
	if err := os.Remove(filepath.Join(root, "x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "y")); err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(); err == nil {
		t.Error("a file that was recorded and is not there: no error")
	}
}
