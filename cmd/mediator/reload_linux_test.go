package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// TestClosingTheTerminalEndsTheServer: SIGHUP reloads in a terminal, too, as long as it is there.
func TestClosingTheTerminalEndsTheServer(t *testing.T) {
	t.Parallel()
	near, far := openTerminal(t)
	s := newShell(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env = s.home, s.environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	far.Close()
	defer time.AfterFunc(testTimeout, func() { cmd.Process.Kill() }).Stop() // which ends reading, too
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	awaitOn(t, near, "listening")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitOn(t, near, "configuration reloaded")
	near.Close()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// awaitOn reads a terminal until a text has come.
func awaitOn(t *testing.T, terminal *os.File, text string) {
	t.Helper()
	var all strings.Builder
	buffer := make([]byte, 1024)
	for !strings.Contains(all.String(), text) {
		n, err := terminal.Read(buffer)
		if err != nil {
			t.Fatalf("%v, after %s", err, all.String())
		}
		all.Write(buffer[:n])
	}
}
