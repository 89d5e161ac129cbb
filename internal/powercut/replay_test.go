package powercut

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// script is a trace made by hand of what one process does below /r.
type script struct{ strings.Builder }

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return `"` + b.String() + `"`
}

func (s *script) line(format string, arguments ...any) *script {
	fmt.Fprintf(s, "7 "+format+"\n", arguments...)
	return s
}

func (s *script) create(name string, descriptor int) *script {
	return s.line("openat(AT_FDCWD, %s, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = %d", escape("/r/"+name), descriptor)
}

func (s *script) openRoot(descriptor int) *script {
	return s.line("openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC) = %d", escape("/r"), descriptor)
}

func (s *script) write(descriptor int, data string, offset int) *script {
	return s.line("pwrite64(%d, %s, %d, %d) = %d", descriptor, escape(data), len(data), offset, len(data))
}

func (s *script) sync(descriptor int) *script { return s.line("fdatasync(%d) = 0", descriptor) }

func (s *script) failedSync(descriptor int) *script {
	return s.line("fdatasync(%d) = -1 EIO (Input/output error)", descriptor)
}

func (s *script) rename(from, to string) *script {
	return s.line("renameat(AT_FDCWD, %s, AT_FDCWD, %s) = 0", escape("/r/"+from), escape("/r/"+to))
}

func (s *script) link(name, to string) *script {
	return s.line("linkat(AT_FDCWD, %s, AT_FDCWD, %s, 0) = 0", escape("/r/"+name), escape("/r/"+to))
}

func (s *script) mkdir(name string) *script {
	return s.line("mkdirat(AT_FDCWD, %s, 0700) = 0", escape("/r/"+name))
}

func (s *script) open(name string, descriptor int) *script {
	return s.line("openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC) = %d", escape("/r/"+name), descriptor)
}

// inDirectory is named with a directory d, descriptor 6, both durable.
func inDirectory() *script { return named().mkdir("d").sync(4).open("d", 6) }

func (s *script) unlink(name string) *script {
	return s.line("unlinkat(AT_FDCWD, %s, 0) = 0", escape("/r/"+name))
}

// named is a script in which file x has a durable name, descriptor 3, and nothing in it.
func named() *script { return new(script).create("x", 3).openRoot(4).sync(4) }

// left returns what a cut at the end of some scripts, one process after the other, may leave: one line for each.
func left(t *testing.T, scripts ...*script) []string {
	t.Helper()
	r := NewRecording("/r")
	for _, s := range scripts {
		if err := r.Add(strings.NewReader(s.String()), func(Output) bool { return false }); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	found := make(map[string]bool)
	_, err := r.Replay(t.Context(), Options{Seed: 1, Selections: 1 << 10, Workers: 2, Scratch: t.TempDir()}, func(root string, line int) error {
		if line < r.lines {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		found[look(t, root)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// look describes a directory: each file with runs of the same byte shortened.
func look(t *testing.T, root string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root+"/")
		if err != nil || path == root || entry.IsDir() {
			if path != root {
				files = append(files, name+"/")
			}
			return err
		}
		content, err := os.ReadFile(path)
		var runs []string
		for len(content) > 0 {
			rest := strings.TrimLeft(string(content), string(content[:1]))
			letter := string(content[:1])
			if letter == "\x00" {
				letter = "0"
			}
			runs = append(runs, fmt.Sprint(len(content)-len(rest), letter))
			content = []byte(rest)
		}
		files = append(files, name+"="+strings.Join(runs, "+"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(files, " ")
}

func TestReplay_WhatACutLeaves(t *testing.T) {
	a, b := strings.Repeat("a", 512), strings.Repeat("b", 512)
	for _, test := range []struct {
		name    string
		scripts []*script
		want    []string
	}{
		{"nothing is durable", []*script{new(script).create("x", 3).write(3, "a", 0)}, []string{"", "x=", "x=1a", "x=10"}},
		{"a write that is synced is there", []*script{named().write(3, a, 0).sync(3)}, []string{"x=512a"}},
		{"the sync of a file says nothing of its name", []*script{new(script).create("x", 3).write(3, a, 0).sync(3)}, []string{"", "x=512a"}},
		{"the sync of a directory says nothing of its files", []*script{named().write(3, "a", 0).sync(4)}, []string{"x=", "x=1a", "x=10"}},
		{
			"a write is torn at 512 bytes, whatever its offset", []*script{named().write(3, a+a, 0).sync(3).write(3, b, 256)},
			[]string{"x=1024a", "x=256a+512b+256a", "x=256a+256b+512a", "x=512a+256b+256a"},
		},
		{
			"of two writes to the same bytes the earlier one may be there alone", []*script{named().write(3, a, 0).sync(3).write(3, b, 0).write(3, "c", 0)},
			[]string{"x=512a", "x=512b", "x=1c+511b"},
		},
		{
			"writes get there in any order", []*script{named().write(3, a+a, 0).sync(3).write(3, b, 0).write(3, b, 512)},
			[]string{"x=1024a", "x=1024b", "x=512b+512a", "x=512a+512b"},
		},
		{
			"a write behind the end", []*script{named().write(3, b, 512)},
			[]string{"x=", "x=512" + "0+512b", "x=10240"},
		},
		{
			"a size", []*script{named().write(3, a, 0).sync(3).line("ftruncate(3, 100) = 0")},
			[]string{"x=512a", "x=100a"},
		},
		{
			"a sync that has failed is not made good by a later one",
			[]*script{named().write(3, a+a, 0).sync(3).write(3, b, 0).failedSync(3).write(3, b, 512).sync(3)},
			[]string{"x=512a+512b", "x=1024b"},
		},
		{
			"and a part that is written once more takes with it what is beside it",
			[]*script{named().write(3, a, 0).sync(3).write(3, b, 0).failedSync(3).write(3, "c", 0).sync(3)},
			[]string{"x=1c+511b"},
		},
		{
			"but by writing once more", []*script{named().write(3, a, 0).sync(3).write(3, b, 0).failedSync(3).write(3, "c"+b[1:], 0).sync(3)},
			[]string{"x=1c+511b"},
		},
		{
			"a sync covers what was written before it began",
			[]*script{named().write(3, a, 0).sync(3).line("fdatasync(3 <unfinished ...>").
				line("pwrite64(3, %s, 1, 0) = 1", escape("b")).line("<... fdatasync resumed>) = 0")},
			[]string{"x=512a", "x=1b+511a"},
		},
		{
			"a rename is there or not", []*script{named().write(3, a, 0).sync(3).create("y", 5).sync(4).rename("y", "x")},
			[]string{"x=512a y=", "x="},
		},
		{
			"a rename is not there without the file", []*script{new(script).openRoot(4).create("y", 5).rename("y", "x")},
			[]string{"", "y=", "x="},
		},
		{"a rename that is synced", []*script{named().create("y", 5).rename("y", "x").sync(4)}, []string{"x="}},
		{
			"a file gets one more name, and loses the first one after that", []*script{named().write(3, a, 0).sync(3).link("x", "y").unlink("x")},
			[]string{"x=512a", "x=512a y=512a", "y=512a"},
		},
		{"a name that is synced", []*script{named().link("x", "y").sync(4).write(3, "a", 0).sync(3)}, []string{"x=1a y=1a"}},
		{"different names in any order", []*script{named().create("y", 5).unlink("x")}, []string{"x=", "", "x= y=", "y="}},
		{"a file that is gone and one of the same name", []*script{named().unlink("x").create("x", 5).write(5, "a", 0)}, []string{"x=", "", "x=1a", "x=10"}},
		{"what is in a directory is not there without it", []*script{new(script).mkdir("d").create("d/y", 5).open("d", 6).sync(6)}, []string{"", "d/ d/y="}},
		{
			"a move to another directory is durable when both are synced",
			[]*script{inDirectory().rename("x", "d/x").sync(6)}, []string{"d/ x=", "d/ d/x="},
		},
		{"and then it is", []*script{inDirectory().rename("x", "d/x").sync(4).sync(6)}, []string{"d/ d/x="}},
		{
			"a directory takes with it what is in it",
			[]*script{inDirectory().create("d/y", 5).sync(6).rename("d", "e").create("e/z", 7)},
			[]string{"d/ d/y= x=", "d/ d/y= d/z= x=", "e/ e/y= x=", "e/ e/y= e/z= x="},
		},
		{
			"a directory is removed when nothing is in it",
			[]*script{inDirectory().create("d/y", 5).sync(6).line("unlinkat(6, %s, 0) = 0", escape("y")).
				line("unlinkat(AT_FDCWD, %s, AT_REMOVEDIR) = 0", escape("/r/d"))},
			[]string{"d/ d/y= x=", "d/ x=", "x="},
		},
		{
			"what is written one after the other", []*script{named().line("write(3, %s, 1) = 1", escape("a")).line("write(3, %s, 1) = 1", escape("b")).sync(3)},
			[]string{"x=1a+1b"},
		},
		{
			"a process that was killed in a write",
			[]*script{
				named().write(3, a, 0).sync(3).line("pwrite64(3, %s, 1, 0 <unfinished ...>", escape("b")),
				new(script).line("openat(AT_FDCWD, %s, O_RDWR) = 9", escape("/r/x")).sync(9),
			},
			[]string{"x=512a", "x=1b+511a"},
		},
		{
			"a sync after the process was killed covers what it has written",
			[]*script{
				named().write(3, a, 0).line("fdatasync(3) = ?"),
				new(script).line("openat(AT_FDCWD, %s, O_RDWR) = 9", escape("/r/x")).sync(9),
			},
			[]string{"x=512a"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := slices.Sorted(slices.Values(test.want))
			// The process says something at the end, so that the last moment is after the last sync.
			test.scripts[len(test.scripts)-1].line("write(1, %s, 1) = 1", escape("."))
			if got := left(t, test.scripts...); !slices.Equal(got, want) {
				t.Errorf("a cut may leave\n\t%q, want\n\t%q", got, want)
			}
		})
	}
}

// A seeded selection never has what another one that is missing has to come before, and is the same for the same seed.
func TestReplay_Selections(t *testing.T) {
	s := new(script).openRoot(4)
	for i := range 12 {
		s.create(fmt.Sprint("new", i), 10+i).write(10+i, strings.Repeat("a", 2000), 0).rename(fmt.Sprint("new", i), fmt.Sprint("x", i))
	}
	r := NewRecording("/r")
	if err := r.Add(strings.NewReader(s.String()), func(Output) bool { return false }); err != nil {
		t.Fatal(err)
	}
	run := func(seed uint64) map[string]bool {
		found := make(map[string]bool)
		result, err := r.Replay(t.Context(), Options{Seed: seed, Selections: 200, Workers: 1, Scratch: t.TempDir()}, func(root string, _ int) error {
			found[look(t, root)] = true
			return nil
		})
		if err != nil || result.Selected != 200 || result.Windows != 1 || result.Prefixes != 36 {
			t.Fatalf("%v, %v", result, err)
		}
		return found
	}
	first := run(1)
	if !maps.Equal(first, run(1)) {
		t.Error("the same seed leaves something else")
	}
	if maps.Equal(first, run(2)) {
		t.Error("another seed leaves the same")
	}
	if len(first) < 150 {
		t.Errorf("%d different cuts of 236", len(first))
	}
}

func TestReplay_FailureIsExplained(t *testing.T) {
	r := NewRecording("/r")
	s := named().write(3, strings.Repeat("a", 1024), 0).line("write(1, %s, 1) = 1", escape("x")).sync(3)
	if err := r.Add(strings.NewReader(s.String()), func(o Output) bool { return o.Descriptor == 1 }); err != nil {
		t.Fatal(err)
	}
	if len(r.Outputs) != 1 || r.Outputs[0].Line != 4 || string(r.Outputs[0].Data) != "x" {
		t.Fatalf("outputs %v", r.Outputs)
	}
	lost := errors.New("lost")
	_, err := r.Replay(t.Context(), Options{Seed: 5, Selections: 100, Workers: 1, Scratch: t.TempDir()}, func(root string, line int) error {
		if line > r.Outputs[0].Line && look(t, root) != "x=1024a" {
			return lost
		}
		return nil
	})
	if !errors.Is(err, lost) || !strings.Contains(err.Error(), "line 5, selection 0 of seed 5") || !strings.Contains(err.Error(), "line 3: write file 1 at 0: not there") {
		t.Errorf("error %v", err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(lost)
	if _, err := r.Replay(ended, Options{Workers: 1, Scratch: t.TempDir()}, func(string, int) error { return nil }); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
}
