package powercut

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kind is what an operation does.
type kind uint8

const (
	create        kind = iota // a file
	makeDirectory             // a directory
	unlink                    // removes a name
	rename                    // gives a file another name, in place of what had it
	write                     // bytes
	resize                    // sets the size
	extend                    // raises the size for a write behind the end, though not all of it may be there
	syncFile
	syncDirectory
)

func (k kind) String() string {
	return [...]string{"create", "mkdir", "unlink", "rename", "write", "resize", "write", "sync", "sync of directory"}[k]
}

// operation is what a process did to one of the recorded files. Files and directories are numbered in the order of their
// creation, behind the root.
type operation struct {
	kind       kind
	begin, end int // lines of the trace; end is never if the process was killed in it
	failed     bool
	name, to   string // path below the root; to is a rename's
	in, into   int    // the directories that these are in
	file       int    // or directory
	offset     int64
	data       []byte // of a write
	size       int64  // of a resize
}

// Output is what a process wrote to something that is not one of the recorded files.
type Output struct {
	Line       int // of the trace, on which the write began
	Descriptor int
	Data       []byte
}

// Recording is what one process, or several one after the other, did to the files below a directory that was empty.
type Recording struct {
	Outputs []Output

	root       string
	lines      int
	operations []operation

	names       map[string]int // of files, by path, as the process sees them
	directories map[string]int // likewise
	last        int            // number given
	descriptors map[int64]target
}

// rootDirectory is the number of the directory that is recorded.
const rootDirectory = 0

// errInterrupted says that the process was killed within a call that changes names. Nobody can tell whether it has.
var errInterrupted = errors.New("killed within a call that changes names")

// target is what a descriptor has open: a file, or a directory.
type target struct {
	file   int
	path   string // of a directory
	isFile bool
	added  int64 // bytes written where the one before ended; -1: nobody knows where that is
}

// NewRecording returns an empty recording of what happens below root, an absolute path.
func NewRecording(root string) *Recording {
	return &Recording{root: filepath.Clean(root), names: make(map[string]int), directories: map[string]int{".": rootDirectory}}
}

// Operations returns how many there are, syncs included.
func (r *Recording) Operations() int { return len(r.operations) }

// AddFile is Add for a log of strace that is a file.
func (r *Recording) AddFile(log string, keep func(Output) bool) error {
	file, err := os.Open(log)
	if err != nil {
		return err
	}
	defer file.Close()
	return r.Add(file, keep)
}

// Add adds what a process did, as strace has written it down. What it wrote to other files is kept where keep says so.
func (r *Recording) Add(log io.Reader, keep func(Output) bool) error {
	calls, next, err := readCalls(log, r.lines)
	if err != nil {
		return err
	}
	r.lines = next
	r.descriptors = make(map[int64]target)
	// A descriptor is there when openat has returned, and is gone when close has begun.
	at := func(c *call) int {
		if c.name == "openat" {
			return c.end
		}
		return c.begin
	}
	order := make([]*call, len(calls))
	for i := range calls {
		order[i] = &calls[i]
	}
	slices.SortStableFunc(order, func(a, b *call) int { return cmp.Compare(at(a), at(b)) })
	for _, c := range order {
		if err := r.add(c, keep); err != nil {
			return fmt.Errorf("trace: line %d: %w", c.begin, err)
		}
	}
	slices.SortStableFunc(r.operations, func(a, b operation) int { return cmp.Compare(a.begin, b.begin) })
	return nil
}

func (r *Recording) add(c *call, keep func(Output) bool) error {
	switch c.name {
	case "openat":
		return r.open(c)
	case "close":
		descriptor, err := c.number(0)
		delete(r.descriptors, descriptor)
		return err
	case "renameat", "linkat", "unlinkat", "mkdirat":
		return r.changeNames(c)
	case "mmap":
		return r.mapped(c)
	case "write", "pwrite64", "ftruncate", "fsync", "fdatasync":
		return r.access(c, keep)
	}
	return r.refuse(c)
}

// below returns a path that is an argument, relative to the root, and whether it is there.
func (r *Recording) below(c *call, name int) (string, bool, error) {
	b, err := c.bytes(name)
	if err != nil {
		return "", false, err
	}
	full := filepath.Clean(string(b)) // a recorded process is given absolute paths
	if !filepath.IsAbs(full) {
		descriptor, err := strconv.ParseInt(c.arguments[name-1], 0, 64)
		t, ours := r.descriptors[descriptor]
		if err != nil || !ours {
			return "", false, nil
		}
		full = filepath.Join(r.root, t.path, full)
	}
	if full == r.root {
		return ".", true, nil
	}
	rest, found := strings.CutPrefix(full, r.root+"/")
	return rest, found, nil
}

func (r *Recording) open(c *call) error {
	name, ours, err := r.below(c, 1)
	if err != nil || !ours || c.failed {
		return err
	}
	if c.end == never {
		return fmt.Errorf("%w: openat of %s", errInterrupted, name)
	}
	if number, known := r.directories[name]; known || isControl(name) {
		r.descriptors[c.result] = target{file: number, path: name}
		return nil
	}
	t := target{file: r.names[name], isFile: true, added: -1}
	_, known := r.names[name]
	flags := strings.Split(c.arguments[2], "|")
	switch {
	case !known && slices.Contains(flags, "O_RDONLY"):
		return nil // another thread has moved it away meanwhile, and nothing can be written here
	case !known && !slices.Contains(flags, "O_CREAT"):
		return fmt.Errorf("opened %s, which nobody has made", name)
	case !known:
		t.file, t.added = r.number(), 0
		r.names[name] = t.file
		r.note(c, operation{kind: create, name: name, file: t.file})
	case slices.Contains(flags, "O_TRUNC"):
		r.note(c, operation{kind: resize, file: t.file})
	}
	r.descriptors[c.result] = t
	return nil
}

// number returns that of a new file or directory.
func (r *Recording) number() int {
	r.last++
	return r.last
}

// note adds an operation.
func (r *Recording) note(c *call, o operation) {
	o.begin, o.end, o.failed = c.begin, c.end, c.failed
	o.in, o.into = r.directories[path.Dir(o.name)], r.directories[path.Dir(o.to)]
	r.operations = append(r.operations, o)
}

// isControl tells whether something is the server's control socket, or the directory that it is made in. After a power cut both
// are what the next start replaces, and hold nothing.
func isControl(name string) bool {
	return path.Base(name) == "control.sock" || strings.HasPrefix(path.Base(name), ".control-")
}

func (r *Recording) changeNames(c *call) error {
	name, ours, err := r.below(c, 1)
	if err != nil || c.failed || isControl(name) {
		return err
	}
	to, toOurs := "", ours
	if c.name == "renameat" || c.name == "linkat" {
		to, toOurs, err = r.below(c, 3)
	}
	switch {
	case err != nil:
		return err
	case ours != toOurs:
		return fmt.Errorf("%s from one directory to another", c.name)
	case !ours, c.name == "unlinkat" && !r.isThere(name) && c.end == never: // there was nothing to remove
		return nil
	case c.end == never:
		return fmt.Errorf("%w: %s of %s", errInterrupted, c.name, name)
	case c.name == "mkdirat":
		r.directories[name] = r.number()
		r.note(c, operation{kind: makeDirectory, name: name, file: r.last})
		return nil
	case !r.isThere(name):
		return fmt.Errorf("%s of %s, which nobody has made", c.name, name)
	case c.name == "unlinkat":
		r.note(c, operation{kind: unlink, name: name, file: r.at(name)})
		delete(r.names, name)
		delete(r.directories, name)
		return nil
	case c.name == "linkat": // one more name of a file is made as the first one is
		r.note(c, operation{kind: create, name: to, file: r.at(name)})
		r.names[to] = r.at(name)
		return nil
	}
	r.note(c, operation{kind: rename, name: name, to: to, file: r.at(name)})
	moveBelow(r.names, name, to)
	moveBelow(r.directories, name, to)
	return nil
}

// at returns the file or directory with a path.
func (r *Recording) at(name string) int {
	if directory, known := r.directories[name]; known {
		return directory
	}
	return r.names[name]
}

func (r *Recording) isThere(name string) bool {
	_, directory := r.directories[name]
	_, file := r.names[name]
	return directory || file
}

// moveBelow gives what has a path, or one below it, another one.
func moveBelow(names map[string]int, from, to string) {
	for name, number := range maps.Clone(names) {
		if rest, found := strings.CutPrefix(name+"/", from+"/"); found {
			delete(names, name)
			names[path.Join(to, rest)] = number
		}
	}
}

// mapped refuses a map by which a recorded file could be written to.
func (r *Recording) mapped(c *call) error {
	if len(c.arguments) < 6 || c.arguments[4] == "-1" {
		return nil
	}
	descriptor, err := c.number(4)
	if t := r.descriptors[descriptor]; err == nil && t.isFile &&
		strings.Contains(c.arguments[2], "PROT_WRITE") && strings.Contains(c.arguments[3], "MAP_SHARED") {
		return fmt.Errorf("file %d is mapped so that it can be written to", t.file)
	}
	return err
}

// access notes what was done by a descriptor.
func (r *Recording) access(c *call, keep func(Output) bool) error {
	descriptor, err := c.number(0)
	if err != nil {
		return err
	}
	t, ours := r.descriptors[descriptor]
	switch {
	case !ours && c.name == "write" && !c.failed:
		return r.output(c, int(descriptor), keep)
	case !ours:
		return nil
	case c.name == "fsync" || c.name == "fdatasync":
		if t.isFile {
			r.note(c, operation{kind: syncFile, file: t.file})
		} else {
			r.note(c, operation{kind: syncDirectory, name: t.path, file: t.file})
		}
		return nil
	case !t.isFile || c.name == "write" && t.added < 0:
		return r.refuse(c)
	case c.failed:
		return nil
	case c.name == "write":
		return r.appended(c, descriptor, t)
	case c.name == "ftruncate":
		size, err := c.number(1)
		r.note(c, operation{kind: resize, file: t.file, size: size})
		return err
	}
	return r.written(c, t.file)
}

// written notes a pwrite64.
func (r *Recording) written(c *call, file int) error {
	data, err := c.bytes(1)
	if err != nil {
		return err
	}
	offset, err := c.number(3)
	if err != nil {
		return err
	}
	if c.end != never {
		data = data[:c.result]
	}
	r.note(c, operation{kind: write, file: file, offset: offset, data: data})
	return nil
}

// appended notes a write behind the one before, in a file that this descriptor has made.
func (r *Recording) appended(c *call, descriptor int64, t target) error {
	data, err := c.bytes(1)
	if err != nil {
		return err
	}
	if c.end != never {
		data = data[:c.result]
	}
	r.note(c, operation{kind: write, file: t.file, offset: t.added, data: data})
	t.added += int64(len(data))
	r.descriptors[descriptor] = t
	return nil
}

func (r *Recording) output(c *call, descriptor int, keep func(Output) bool) error {
	data, err := c.bytes(1)
	if o := (Output{c.begin, descriptor, data}); err == nil && keep(o) {
		r.Outputs = append(r.Outputs, o)
	}
	return err
}

// refuse is for calls that are not modelled: they may not touch what is recorded.
func (r *Recording) refuse(c *call) error {
	for i, argument := range c.arguments {
		if descriptor, err := c.number(i); err == nil {
			if _, ours := r.descriptors[descriptor]; ours && i < 3 {
				return fmt.Errorf("%s on a recorded file is not modelled", c.name)
			}
		}
		if strings.HasPrefix(argument, `"`) {
			if _, ours, err := r.below(c, i); err == nil && ours {
				return fmt.Errorf("%s on a recorded file is not modelled", c.name)
			}
		}
	}
	return nil
}
