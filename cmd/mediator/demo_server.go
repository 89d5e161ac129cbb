package main

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"openmediator/chatserver"
)

// demoServer is what a demo needs: a mediator, and the chat server behind it. Its methods are called by one goroutine.
type demoServer interface {
	// startChat runs the chat server, before start and once.
	startChat(ctx context.Context, identities chatserver.FixedIdentities) (*demoChatServer, error)
	// start runs the mediator and returns its URL, the same each time, and its process id.
	start(ctx context.Context) (url string, process int, err error)
	// kill ends the mediator without warning and tells what the system says of its end.
	kill() (how string, err error)
	// data is what the mediator has on disk, chatData what the chat server has.
	data() fs.FS
	chatData() fs.FS
}

// demoChatServer is the chat server as it was started.
type demoChatServer struct {
	address netip.AddrPort
	process int
	key     *ecdh.PublicKey
}

// startTimeout is how long a server may take until it listens.
const startTimeout = 10 * time.Second

// processServer has both servers as processes of this program, with a temporary data directory.
type processServer struct {
	dir      string
	listen   string
	upstream string // where the chat server listens; empty: there is none
	local    string // the address that the mediator reaches it from; empty: any
	mediator *child // nil while it does not run
	chat     *child
}

func newProcessServer() (*processServer, error) {
	dir, err := os.MkdirTemp("", "mediator-demo-")
	if err != nil {
		return nil, err
	}
	p := &processServer{dir: dir, listen: "127.0.0.1:0"}
	if hasDemoAddresses() {
		p.local = demoLocal.String()
	}
	return p, nil
}

// close kills the servers that run and removes their data.
func (p *processServer) close() {
	if p.mediator != nil {
		p.kill()
	}
	if p.chat != nil {
		p.chat.kill()
		p.chat = nil
	}
	os.RemoveAll(p.dir)
}

func (p *processServer) data() fs.FS { return os.DirFS(p.path("mediator")) }

func (p *processServer) chatData() fs.FS { return os.DirFS(p.path("chatserver")) }

func (p *processServer) path(name string) string { return filepath.Join(p.dir, name) }

func (p *processServer) startChat(ctx context.Context, identities chatserver.FixedIdentities) (*demoChatServer, error) {
	key, err := makeChatKey(p.path("chat.key"))
	if err != nil {
		return nil, err
	}
	var lines strings.Builder
	for id, key := range identities {
		fmt.Fprintf(&lines, "%v %x\n", id, key.Bytes())
	}
	if err := os.WriteFile(p.path("identities"), []byte(lines.String()), 0o600); err != nil {
		return nil, err
	}
	started, listening, err := startChild(ctx, "chatserver", "--listen", "127.0.0.1:0", "--data", p.path("chatserver"),
		"--identities", p.path("identities"), "--key", p.path("chat.key"))
	if err != nil {
		return nil, fmt.Errorf("chat %w", err)
	}
	p.chat, p.upstream = started, listening
	address, err := netip.ParseAddrPort(listening)
	return &demoChatServer{address: address, process: started.command.Process.Pid, key: key.PublicKey()}, err
}

func (p *processServer) start(ctx context.Context) (url string, process int, err error) {
	args := []string{"serve", "--listen", p.listen, "--data", p.path("mediator")}
	if p.upstream != "" {
		args = append(args, "--upstream", p.upstream)
	}
	if p.local != "" {
		args = append(args, "--upstream-local", p.local)
	}
	started, url, err := startChild(ctx, args...)
	if err != nil {
		return "", 0, err
	}
	p.mediator, p.listen = started, url // from now on the same port
	return url, started.command.Process.Pid, nil
}

func (p *processServer) kill() (how string, err error) {
	if p.mediator == nil {
		return "", errors.New("server does not run")
	}
	killed := p.mediator
	p.mediator = nil
	return killed.kill()
}

// child is a process of this program that runs a server.
type child struct {
	command *exec.Cmd
	ended   chan struct{} // closed when it has said its last word
}

// startChild runs a server and waits until it listens.
func startChild(ctx context.Context, args ...string) (c *child, listening string, err error) {
	if c, err = newChild(args...); err != nil {
		return nil, "", err
	}
	listening, err = c.start(ctx)
	return c, listening, err
}

// newChild makes a process that start starts.
func newChild(args ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{command: exec.Command(program, args...), ended: make(chan struct{})}
	c.command.Env = withoutSettings(os.Environ())
	return c, nil
}

// start starts the server and waits until it listens. After an error it does not run.
func (c *child) start(ctx context.Context) (listening string, err error) {
	log, err := c.command.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := c.command.Start(); err != nil {
		return "", err
	}
	said := make(chan string, 1)
	last := new(string)
	go func() {
		defer close(c.ended)
		*last = followLog(log, said)
	}()
	select {
	case listening := <-said:
		return listening, nil
	case <-c.ended:
		err = fmt.Errorf("server ended before it listened: %s", *last)
	case <-time.After(startTimeout):
		err = fmt.Errorf("server does not listen after %v", startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.kill()
	return "", err
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

// withoutSettings keeps the settings of the user's own server from this one, and its configuration file, too.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, variablePrefix) {
			kept = append(kept, entry)
		}
	}
	return append(kept, rowOf("config").variable()+"=")
}

// kill ends the process without warning and tells what the system says of its end.
func (c *child) kill() (how string, err error) {
	if err := c.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", err
	}
	<-c.ended
	if err := c.command.Wait(); err != nil {
		return err.Error(), nil
	}
	return "", errors.New("server had ended by itself before it was killed")
}
