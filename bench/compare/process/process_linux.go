// Package process runs a server in a process of its own, and says what it costs. It reads /proc, so it needs Linux.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	retryDelay   = 5 * time.Millisecond

	ticksPerSecond = 100 // of the times in /proc/PID/stat: USER_HZ, which is 100 on every Linux that Go runs on

	maxLog = 64 << 10 // bytes of its output that are kept
)

// Find returns the path of a program, or an error that says which Debian package has it. Servers are in /usr/sbin, which is
// not in everybody's PATH.
func Find(program, debianPackage string) (string, error) {
	for _, path := range []string{program, "/usr/sbin/" + program} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s: is not installed; make compare-packages installs it, or: apt-get install %s", program, debianPackage)
}

// FreeAddress returns an address of the loopback interface where nobody listens now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Port returns the port of an address.
func Port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// Server is a server that was started. Whoever has started it stops it.
type Server struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // of Wait, once done is closed
	output  log
}

// Start starts a server and waits until it listens on address.
func Start(ctx context.Context, address string, command ...string) (*Server, error) {
	s := &Server{command: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	// It gets a group of its own so that its children can be ended with it, and is killed if this process is.
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.command.Wait()
		close(s.done)
	}()
	if err := s.awaitListening(ctx, address); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) awaitListening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s: has ended before it listened: %w\n%s", s.name(), s.err, s.output.String())
		case <-ctx.Done():
			return fmt.Errorf("%s: does not listen on %s: %w\n%s", s.name(), address, context.Cause(ctx), s.output.String())
		case <-time.After(retryDelay):
		}
	}
}

func (s *Server) name() string { return filepath.Base(s.command.Path) }

// Stop ends the server and its children, and returns when it has ended.
func (s *Server) Stop() {
	group := -s.command.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
	}
	syscall.Kill(group, syscall.SIGKILL)
	<-s.done
}

// CPU returns the CPU time of the server until now, with that of all processes that it has started.
func (s *Server) CPU() (time.Duration, error) {
	select {
	case <-s.done:
		return 0, fmt.Errorf("%s: has ended: %w\n%s", s.name(), s.err, s.output.String())
	default:
	}
	stats, err := readStats()
	if err != nil {
		return 0, err
	}
	var ticks int64
	for pid, stat := range stats {
		if stats.descends(pid, s.command.Process.Pid) {
			ticks += stat.ticks
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// stats are all processes of the machine.
type stats map[int]stat

type stat struct {
	parent int
	ticks  int64 // its own, and of its children that have ended
}

func (s stats) descends(pid, ancestor int) bool {
	for pid != ancestor {
		process, ok := s[pid]
		if !ok {
			return false
		}
		pid = process.parent
	}
	return true
}

func readStats() (stats, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := stats{}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has just ended
		}
		if err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		if all[pid], err = parseStat(line); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

// parseStat parses a line of proc(5), where the second field is a name in parentheses that may hold anything.
func parseStat(line []byte) (stat, error) {
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // from the third field on
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("line: has %d fields behind the name, want at least 15", len(fields))
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, err
	}
	s := stat{parent: parent}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, err
		}
		s.ticks += n
	}
	return s, nil
}
