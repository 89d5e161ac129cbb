// Package serverprocess runs the real server, `mediator serve`, as a process of its own: for tests that kill it, look at
// it from outside, or want to know that what is shipped works.
//
// The port is drawn by the first start and can then be given again, so that devices find a restarted server where it was.
package serverprocess

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// AnyPort is the address for the first start.
const AnyPort = "127.0.0.1:0"

// maxLog is how many bytes of the server's log are kept of its begin, and of its end.
const maxLog = 512 << 10

// Build builds the command into a directory and returns the path of the binary. What only a debugger reads is left out, which
// saves the linker half of its work.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "mediator")
	return binary, BuildPackage(binary, "openmediator/cmd/mediator", "-ldflags=-w")
}

// BuildPackage builds any main package of this module.
func BuildPackage(binary, path string, flags ...string) error {
	arguments := append(append([]string{"build"}, flags...), "-o", binary, path)
	output, err := exec.Command("go", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", path, err, output)
	}
	return nil
}

// Process is a server that was started. Whoever has started it ends it, by Kill or Stop.
type Process struct {
	// fixed
	command *exec.Cmd
	ready   chan struct{} // closed when it listens
	done    chan struct{} // closed when it has ended

	mu      sync.Mutex
	address string
	log     bytes.Buffer // the begin
	tail    []byte       // what comes behind it, or the end of that
	err     error        // of the process
}

// Start starts a server: command is the binary, with its arguments before "serve", and possibly with a program before it
// that runs it. listen is a HOST:PORT, or AnyPort. The error is the operating system's; what the server itself says
// against being started is told by AwaitReady.
func Start(listen, data string, command ...string) (*Process, error) {
	return start(nil, listen, data, command...)
}

// StartActivated is Start for a server that finds its listening socket open, as systemd passes it. The caller keeps its own
// descriptor of it, so that connections wait there when the server has ended.
func StartActivated(socket *os.File, data, binary string) (*Process, error) {
	// systemd knows the number of the process before it runs the program; a shell does, too.
	const script = `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=test exec "$0" "$@"`
	return start([]*os.File{socket}, "systemd:", data, "/bin/sh", "-c", script, binary)
}

// start starts a process that inherits files from descriptor 3 on.
func start(files []*os.File, listen, data string, command ...string) (*Process, error) {
	arguments := append(command[1:len(command):len(command)], "serve", "--listen", listen, "--data", data)
	p := &Process{
		command: exec.Command(command[0], arguments...),
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	p.command.Env = append(os.Environ(), "MEDIATOR_CONFIG=") // whatever file this machine has
	p.command.ExtraFiles = files
	stderr, err := p.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go p.follow(stderr)
	return p, nil
}

// follow reads the log until the process has ended.
func (p *Process) follow(stderr io.Reader) {
	defer close(p.done)
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadBytes('\n')
		p.read(line)
		if err != nil {
			break
		}
	}
	err := p.command.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *Process) read(line []byte) {
	var entry struct{ Message, Listen string }
	_ = json.Unmarshal(line, &entry) // what is not JSON is only kept
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log.Len() < maxLog {
		p.log.Write(line)
	} else {
		p.tail = append(p.tail, line...)
		if excess := len(p.tail) - maxLog; excess > maxLog {
			p.tail = append(p.tail[:0], p.tail[excess:]...)
		}
	}
	if entry.Message == "listening" && p.address == "" {
		p.address = entry.Listen
		close(p.ready)
	}
}

// AwaitReady waits until the server listens and returns its address, a ws:// URL. If it ends before, the error has its
// log.
func (p *Process) AwaitReady(ctx context.Context) (string, error) {
	select {
	case <-p.ready:
	case <-p.done:
		return "", fmt.Errorf("server: has ended before it listened\n%s", p.Log())
	case <-ctx.Done():
		return "", fmt.Errorf("server: does not listen: %w\n%s", ctx.Err(), p.Log())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address, nil
}

// Done is closed when the process has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID returns the number of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// Log returns what the server has logged, without the middle if that is much.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String() + string(p.tail)
}

// Pause stops the process by SIGSTOP until Resume.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets the process go on after a Pause.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil {
		return fmt.Errorf("server: %v: %w\n%s", s, err, p.Log())
	}
	return nil
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.command.Process.Kill() // fails if it has ended, which is what is wanted
	<-p.done
}

// Dump ends the process and returns what its goroutines were at, behind its log.
func (p *Process) Dump() string {
	p.command.Process.Signal(syscall.SIGQUIT) // as for Kill
	<-p.done
	return p.Log()
}

// Stop asks the process to end, by SIGTERM, and waits until it has. It is an error if it has not when ctx ends, for which
// it is ended by a Dump, or if its exit code is not 0.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		<-p.done
		return fmt.Errorf("server: %w\n%s", err, p.Log())
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("server: does not stop: %w\n%s", context.Cause(ctx), p.Dump())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("server: %w\n%s%s", p.err, p.log.String(), p.tail)
	}
	return nil
}
