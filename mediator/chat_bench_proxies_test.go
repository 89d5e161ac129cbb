package mediator_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"openmediator/chatproxy"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// runAsProxy holds the name of a proxy and the address of a chat server. With it the test binary is that proxy, until its
// input ends: it says where it listens, and at the end how much processor time it has used.
const runAsProxy = "RUN_AS_PROXY"

// runProxy is the program of such a process.
func runProxy(what string) error {
	name, chat, _ := strings.Cut(what, " ")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := proxyOn(l, name, chat); err != nil {
		return err
	}
	fmt.Println(l.Addr())
	began := processorTime()
	io.Copy(io.Discard, os.Stdin)
	_, err = fmt.Println((processorTime() - began).Nanoseconds())
	return err
}

func processorTime() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// proxyOn runs a proxy: two io.Copy between sockets, which the kernel carries out by splice ("splice"); the same through
// the program's memory ("copy"); or the mediator, without a limit of rate.
func proxyOn(l net.Listener, name, chat string) (end func(), err error) {
	if name != "mediator" {
		return acceptAll(l, func(c net.Conn) { copyBoth(c, chat, name == "splice") }), nil
	}
	upstreams, err := chatproxy.ParseUpstreams([]string{chat}, chatproxy.DefaultPattern)
	if err != nil {
		return nil, err
	}
	config := mediator.DefaultConfig()
	config.Chat = chatproxy.Config{Upstreams: upstreams}
	s, err := mediator.New(memstore.New(), config)
	if err != nil {
		return nil, err
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(l) })
	return func() {
		s.Shutdown(context.Background())
		serving.Wait()
	}, nil
}

// copyBoth copies in both directions until one ends.
func copyBoth(c net.Conn, chat string, splice bool) {
	to, err := net.Dial("tcp", chat)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		copyFrom(to, c, splice)
		c.Close()
	})
	copyFrom(c, to, splice)
	to.Close()
	back.Wait()
}

func copyFrom(from, to net.Conn, splice bool) {
	if splice {
		io.Copy(to, from)
		return
	}
	io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from}) // else it looks whether they are sockets
}

// acceptAll serves all connections of a listener. Its end waits for them.
func acceptAll(l net.Listener, serve func(net.Conn)) (end func()) {
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	return func() {
		l.Close()
		conns.Wait()
	}
}

// serveTCP runs a TCP server until the end of the benchmark.
func serveTCP(b *testing.B, serve func(net.Conn)) (address string) {
	b.Helper()
	l := listen.TCP(b)
	b.Cleanup(acceptAll(l, serve))
	return l.Addr().String()
}

// serveProxy runs a proxy in this process until the end of the benchmark.
func serveProxy(b *testing.B, name, chat string) (address string) {
	b.Helper()
	l := listen.TCP(b)
	end, err := proxyOn(l, name, chat)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(end)
	return l.Addr().String()
}

// proxyProcess is a proxy in a process of its own.
type proxyProcess struct {
	address string
	command *exec.Cmd
	input   io.Closer
	output  *bufio.Reader
}

func startProxy(b *testing.B, name, chat string) *proxyProcess {
	b.Helper()
	p := &proxyProcess{command: exec.Command(os.Args[0])}
	p.command.Env = append(os.Environ(), runAsProxy+"="+name+" "+chat)
	p.command.Stderr = os.Stderr
	input, err := p.command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	output, err := p.command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		b.Fatal(err)
	}
	p.input, p.output = input, bufio.NewReader(output)
	p.address = p.line(b)
	return p
}

func (p *proxyProcess) line(b *testing.B) string {
	b.Helper()
	line, err := p.output.ReadString('\n')
	if err != nil {
		b.Fatalf("proxy's process: %v", err)
	}
	return strings.TrimSpace(line)
}

// stop ends the process and returns the processor time that it has used, in µs.
func (p *proxyProcess) stop(b *testing.B) float64 {
	b.Helper()
	p.input.Close()
	used, err := strconv.ParseFloat(p.line(b), 64)
	if err != nil {
		b.Fatal(err)
	}
	p.command.Process.Kill() // it waits for connections that are still open
	p.command.Wait()
	return used / 1e3
}
