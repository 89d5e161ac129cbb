package powercut

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// never is the line on which a call ends that does not.
const never = math.MaxInt

// modelled are the system calls that are understood, and silent those that would change a file in a way that is not: one
// of these on a recorded file is an error.
const (
	modelled = "openat,close,write,pwrite64,ftruncate,fsync,fdatasync,renameat,linkat,unlinkat,mkdirat,mmap"
	silent   = "open,creat,truncate,writev,pwritev,pwritev2,fallocate,rename,renameat2,unlink,rmdir,mkdir," +
		"link,symlink,symlinkat,copy_file_range,sendfile,splice,dup,dup2,dup3"
)

// Strace returns the command before which a program's own command is put to have its system calls written to a file.
// inject are strace's descriptions of calls to be tampered with.
func Strace(log string, inject ...string) []string {
	command := []string{
		"strace", "-f", "-qq", "-xx", "-s", "16777216", "-o", log,
		"-e", "trace=" + modelled + "," + silent, "-e", "signal=none",
	}
	if len(inject) == 0 {
		command = append(command, "--seccomp-bpf") // faster, but then a signal that is injected does not arrive
	}
	for _, i := range inject {
		command = append(command, "-e", "inject="+i)
	}
	return command
}

// call is one system call.
type call struct {
	name       string
	arguments  []string // as they are written in the trace
	result     int64
	failed     bool
	begin, end int // lines of the trace; end is never if it was not seen to end
}

// readCalls reads the output of strace, in the order in which the calls began. first is the number of the first line. It
// returns the number of the line after the last one.
func readCalls(log io.Reader, first int) (calls []call, next int, err error) {
	r := callReader{open: make(map[string]begun)}
	lines := bufio.NewReaderSize(log, 1<<20)
	for next = first; ; next++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			break
		}
		if err != nil && err != io.EOF {
			return nil, next, err
		}
		process, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if err := r.read(process, strings.TrimLeft(text, " "), next); err != nil {
			return nil, next, fmt.Errorf("trace: line %d: %w", next, err)
		}
	}
	for _, b := range r.open {
		if err := r.calls[b.call].parse(b.text+") = ?", never); err != nil {
			return nil, next, err
		}
	}
	return r.calls, next, nil
}

// callReader puts together what strace writes on two lines because something else was in between.
type callReader struct {
	calls []call
	open  map[string]begun // by thread
}

// begun is a call that has yet to end.
type begun struct {
	call int    // its index
	text string // as far as it is known
}

func (r *callReader) read(thread, text string, line int) error {
	switch {
	case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"):
		return nil // ends and signals
	case strings.HasPrefix(text, "<... "):
		b, known := r.open[thread]
		_, rest, found := strings.Cut(text, " resumed>")
		if !known || !found {
			return errors.New("resumes what was not begun")
		}
		delete(r.open, thread)
		return r.calls[b.call].parse(b.text+rest, line)
	}
	r.calls = append(r.calls, call{begin: line, end: never})
	if text, unfinished := strings.CutSuffix(text, " <unfinished ...>"); unfinished {
		r.open[thread] = begun{len(r.calls) - 1, text}
		return nil
	}
	return r.calls[len(r.calls)-1].parse(text, line)
}

// parse takes a whole call apart: name(arguments) = result, with the name of the error behind it.
func (c *call) parse(text string, end int) error {
	name, rest, found := strings.Cut(text, "(")
	at := strings.Index(rest, ") ") // no string has one: all their bytes are escaped
	if !found || at < 0 {
		return fmt.Errorf("no system call: %.40q", text)
	}
	c.name = name
	if rest[:at] != "" {
		c.arguments = strings.Split(rest[:at], ", ")
	}
	result := strings.Fields(strings.TrimPrefix(strings.TrimLeft(rest[at+2:], " "), "="))
	if len(result) == 0 {
		return fmt.Errorf("%s without a result", name)
	}
	if result[0] == "?" {
		return nil // it was killed in it
	}
	var err error
	if c.result, err = strconv.ParseInt(result[0], 0, 64); err != nil {
		address, unsigned := strconv.ParseUint(result[0], 0, 64)
		if unsigned != nil {
			return fmt.Errorf("%s: result %q", name, result[0])
		}
		c.result = int64(address)
	}
	c.failed, c.end = len(result) > 1 && c.result == -1, end
	return nil
}

// number returns an argument that is a number.
func (c *call) number(i int) (int64, error) {
	if i >= len(c.arguments) {
		return 0, fmt.Errorf("%s: has no argument %d", c.name, i)
	}
	n, err := strconv.ParseInt(c.arguments[i], 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: argument %q is not a number", c.name, c.arguments[i])
	}
	return n, nil
}

// bytes returns an argument that is a string, every byte of which is written \xNN.
func (c *call) bytes(i int) ([]byte, error) {
	if i >= len(c.arguments) {
		return nil, fmt.Errorf("%s: has no argument %d", c.name, i)
	}
	quoted := c.arguments[i]
	if len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
		return nil, fmt.Errorf("%s: argument %.40q is not a whole string", c.name, quoted)
	}
	return hex.DecodeString(strings.ReplaceAll(quoted[1:len(quoted)-1], `\x`, ""))
}
