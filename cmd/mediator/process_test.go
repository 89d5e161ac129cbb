package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	stdflag "flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// runAsMediator makes the test binary the program. It is set for all processes that the tests start; those that fuzzing
// starts stay tests.
const runAsMediator = "RUN_AS_MEDIATOR"

func TestMain(m *testing.M) {
	if os.Getenv(runAsMediator) != "" && !slices.Contains(os.Args, "-test.fuzzworker") {
		main()
	}
	os.Setenv(runAsMediator, "1")
	stdflag.Parse()
	waitInParallel()
	goleak.VerifyTestMain(m)
}

// waitInParallel has more tests run at a time than there are processors, unless -parallel says how many: most of the time
// they wait.
func waitInParallel() {
	told := false
	stdflag.Visit(func(f *stdflag.Flag) { told = told || f.Name == "test.parallel" })
	if told {
		return
	}
	if err := stdflag.Set("test.parallel", strconv.Itoa(8*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
}

// testTimeout is for what is due at once.
const testTimeout = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// shell is an environment that commands run in: a home directory, which is also the working directory, and variables.
type shell struct {
	t       testing.TB
	home    string
	environ []string
	files   []*os.File // that the processes inherit, from 3 on
}

func newShell(t testing.TB, variables ...string) *shell {
	t.Helper()
	home := t.TempDir()
	environ := append(withoutSettings(os.Environ()), "HOME="+home, "XDG_STATE_HOME=",
		"GORACE=atexit_sleep_ms=0") // a process built with -race waits a second before it ends
	return &shell{t: t, home: home, environ: append(environ, variables...)}
}

// path is that of a file in the home directory.
func (s *shell) path(name string) string { return filepath.Join(s.home, name) }

// process is a command that runs.
type process struct {
	t       testing.TB
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *transcript
	stderr  *transcript
	ended   chan struct{} // closed when it has
}

// start runs a command until the end of the test.
func (s *shell) start(args ...string) *process {
	s.t.Helper()
	return s.startTo(nil, args...)
}

// startTo is start with a standard output of its own.
func (s *shell) startTo(stdout *os.File, args ...string) *process {
	s.t.Helper()
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.startProgram(program, stdout, args...)
}

// startProgram is startTo for any program.
func (s *shell) startProgram(program string, stdout *os.File, args ...string) *process {
	s.t.Helper()
	var err error
	p := &process{t: s.t, command: exec.Command(program, args...), stdout: newTranscript(), stderr: newTranscript(), ended: make(chan struct{})}
	p.command.Dir, p.command.Env, p.command.ExtraFiles = s.home, s.environ, s.files
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	if stdout != nil {
		p.command.Stdout = stdout
	}
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.command.Wait()
		p.stdout.end()
		p.stderr.end()
	}()
	s.t.Cleanup(func() {
		p.command.Process.Kill()
		<-p.ended
	})
	return p
}

// run runs a command to its end and returns its exit code.
func (s *shell) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	p := s.start(args...)
	p.stdin.Close()
	code = p.wait()
	return p.stdout.String(), p.stderr.String(), code
}

// must is run for a command that is to succeed.
func (s *shell) must(args ...string) (stdout string) {
	s.t.Helper()
	stdout, stderr, code := s.run(args...)
	if code != exitDone || stderr != "" {
		s.t.Fatalf("%q: exit code %d, standard error: %s", args, code, stderr)
	}
	return stdout
}

// wait waits for the end of the process and returns its exit code: -1 if a signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode()
	case <-time.After(testTimeout):
		p.t.Fatalf("%q does not end; standard output:\n%s\nstandard error:\n%s", p.command.Args, p.stdout, p.stderr)
		return 0
	}
}

func (p *process) signal(signal os.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
}

// stop ends the process as a terminal would, and wants it to succeed.
func (p *process) stop() {
	p.t.Helper()
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitDone {
		p.t.Fatalf("%q: exit code %d after an interrupt; standard error:\n%s", p.command.Args, code, p.stderr)
	}
}

// typeLine writes a line to standard input.
func (p *process) typeLine(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, text+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// betweenStarts does something that locks a file and lets go of it, while no process is started: one that has been forked
// and does not run its program yet has the lock as well.
func betweenStarts(t testing.TB, do func() error) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := do()
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

// transcript is what a process prints.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	ended   bool
	changed chan struct{} // closed and replaced when something has
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (r *transcript) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	r.notify()
	return len(p), nil
}

func (r *transcript) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.notify()
}

func (r *transcript) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *transcript) String() string {
	text, _, _ := r.look()
	return text
}

func (r *transcript) look() (text string, ended bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String(), r.ended, r.changed
}

// await waits for a whole line that has a text in it, and returns the line.
func (r *transcript) await(t testing.TB, text string) string {
	t.Helper()
	line, err := r.find(testContext(t), text)
	if err != nil {
		t.Fatalf("no line with %q: %v; there is:\n%s", text, err, r)
	}
	return line
}

func (r *transcript) find(ctx context.Context, text string) (string, error) {
	for {
		all, ended, changed := r.look()
		for line := range strings.Lines(all) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				return strings.TrimSuffix(line, "\n"), nil
			}
		}
		if ended {
			return "", errors.New("the process has ended")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// serve starts a server on a free port and returns its URL.
func (s *shell) serve(args ...string) (*process, string) {
	s.t.Helper()
	p := s.start(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	return p, p.listening()
}

// listening waits until a server listens and returns where.
func (p *process) listening() string {
	p.t.Helper()
	var line struct{ Listen string }
	text := p.stderr.await(p.t, `"message":"listening"`)
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		p.t.Fatal(err)
	}
	return line.Listen
}

// objects reads what a command with --json has printed.
func objects(t testing.TB, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q is not a JSON object: %v", line, err)
		}
		all = append(all, object)
	}
	return all
}
