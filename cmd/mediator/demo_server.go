package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"
)

// demoServer is the server that a demo needs. Its methods are called by one goroutine.
type demoServer interface {
	// start runs the server and returns its URL, the same each time, and its process id.
	start(ctx context.Context) (url string, process int, err error)
	// kill ends the server without warning and tells what the system says of its end.
	kill() (how string, err error)
	// data is what it has on disk.
	data() fs.FS
}

// startTimeout is how long a server may take until it listens.
const startTimeout = 10 * time.Second

// processServer is a process of this program, with a temporary data directory.
type processServer struct {
	dir     string
	listen  string
	command *exec.Cmd     // nil while it does not run
	ended   chan struct{} // closed when it has said its last word
}

func newProcessServer() (*processServer, error) {
	dir, err := os.MkdirTemp("", "mediator-demo-")
	if err != nil {
		return nil, err
	}
	return &processServer{dir: dir, listen: "127.0.0.1:0"}, nil
}

// close kills the server if it runs and removes its data.
func (p *processServer) close() {
	if p.command != nil {
		p.kill()
	}
	os.RemoveAll(p.dir)
}

func (p *processServer) data() fs.FS { return os.DirFS(p.dir) }

func (p *processServer) start(ctx context.Context) (url string, process int, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", 0, err
	}
	command := exec.Command(program, "serve", "--listen", p.listen, "--data", p.dir)
	command.Env = withoutSettings(os.Environ())
	log, err := command.StderrPipe()
	if err != nil {
		return "", 0, err
	}
	if err := command.Start(); err != nil {
		return "", 0, err
	}
	p.command, p.ended = command, make(chan struct{})
	listening := make(chan string, 1)
	last := new(string)
	go func() {
		defer close(p.ended)
		*last = followLog(log, listening)
	}()
	select {
	case url := <-listening:
		p.listen = url // from now on the same port
		return url, command.Process.Pid, nil
	case <-p.ended:
		err = fmt.Errorf("server ended before it listened: %s", *last)
	case <-time.After(startTimeout):
		err = fmt.Errorf("server does not listen after %v", startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.kill()
	return "", 0, err
}

// followLog reads the log of a server to its end, passes on where it listens, and returns the last line.
func followLog(log io.Reader, listening chan<- string) (last string) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		last = lines.Text()
		var line struct{ Listen string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Listen != "" {
			select {
			case listening <- line.Listen:
			default: // it has one
			}
		}
	}
	io.Copy(io.Discard, log) // so that a line too long does not stop the server
	return last
}

// withoutSettings keeps the settings of the user's own server from this one.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, variablePrefix) {
			kept = append(kept, entry)
		}
	}
	return kept
}

func (p *processServer) kill() (how string, err error) {
	command := p.command
	p.command = nil
	if command == nil {
		return "", errors.New("server does not run")
	}
	if err := command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", err
	}
	<-p.ended
	if err := command.Wait(); err != nil {
		return err.Error(), nil
	}
	return "", errors.New("server had ended by itself before it was killed")
}
