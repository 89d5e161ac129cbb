package browsertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for what is due at once.
const patience = 20 * time.Second

// mediator is a directory with the program, a server's data and device files.
type mediator struct {
	t            *testing.T
	program      string
	dir          string
	listen, page string // addresses
}

func newMediator(t *testing.T) *mediator {
	t.Helper()
	m := &mediator{t: t, dir: t.TempDir(), listen: freeAddress(t), page: freeAddress(t)}
	m.program = filepath.Join(m.dir, "mediator")
	command := exec.Command("go", "build", "-o", m.program, "./cmd/mediator")
	command.Dir = "../.."
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (m *mediator) command(args ...string) *exec.Cmd {
	command := exec.Command(m.program, args...)
	command.Dir = m.dir
	command.Env = append(os.Environ(), "MEDIATOR_CONFIG=", "MEDIATOR_DATA=data", "MEDIATOR_SERVER=ws://"+m.listen)
	return command
}

// run runs a command to its end, and returns what it has printed.
func (m *mediator) run(args ...string) string {
	m.t.Helper()
	text, err := m.command(args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%q: %v\n%s", args, err, text)
	}
	return string(text)
}

// process is a program that runs.
type process struct {
	t     *testing.T
	name  string
	stdin io.WriteCloser
	exec  *exec.Cmd
	ended chan error

	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced when there is more text
}

// start starts a program, and ends it with the test.
func (m *mediator) start(args ...string) *process {
	m.t.Helper()
	p := &process{t: m.t, name: strings.Join(args, " "), exec: m.command(args...), ended: make(chan error, 1), changed: make(chan struct{})}
	var err error
	if p.stdin, err = p.exec.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	p.exec.Stdout, p.exec.Stderr = p, p
	if err := p.exec.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		p.ended <- p.exec.Wait()
		close(done)
	}()
	m.t.Cleanup(func() {
		p.exec.Process.Kill()
		<-done
	})
	return p
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.text.Write(b)
}

// await waits until the process has printed something.
func (p *process) await(want string) {
	p.t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		text, changed := p.text.String(), p.changed
		p.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-changed:
		case <-late:
			p.t.Fatalf("%s does not say %q:\n%s", p.name, want, text)
		}
	}
}

// says types a line.
func (p *process) says(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		p.t.Fatal(err)
	}
}

// end waits until the process has ended by itself, in an orderly way.
func (p *process) end() {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		if err != nil {
			p.t.Fatalf("%s: %v\n%s", p.name, err, p.text.String())
		}
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.name, p.text.String())
	}
}

func (p *process) stop() {
	p.t.Helper()
	p.exec.Process.Signal(syscall.SIGTERM)
	p.end()
}

// serve starts the server.
func (m *mediator) serve() *process {
	m.t.Helper()
	p := m.start("serve", "--listen", m.listen, "--admin-listen", m.page)
	p.await(`"listening"`)
	return p
}

// link returns a link to the admin page.
func (m *mediator) link() string {
	m.t.Helper()
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(m.run("admin", "--json")), &link); err != nil || !strings.HasPrefix(link.URL, "http://"+m.page+"/#once=") {
		m.t.Fatalf("%v: %s", err, link.URL)
	}
	return link.URL
}

// devices returns how many devices the group of a device file has.
func (m *mediator) devices(file string) (n int) {
	m.t.Helper()
	lines := bufio.NewScanner(strings.NewReader(m.run("device", "devices", "--json", "--device", file)))
	for lines.Scan() {
		n++
	}
	return n
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
