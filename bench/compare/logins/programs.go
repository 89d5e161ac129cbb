package logins

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What is a program of its own, so that this one needs neither a C compiler nor the server's module to be built.
var (
	//go:embed _programs/sodium.c
	sodiumSource []byte

	//go:embed _programs/mediator.go
	mediatorSource []byte
)

// Mediator is this server's way; root is the directory of its module, and dir is for the program. With ahead the key pairs
// have been drawn before, and only what is left is counted.
func Mediator(ctx context.Context, root, dir string, d time.Duration, ahead bool) (perSecond float64, err error) {
	program, file := filepath.Join(dir, "logins"), filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, mediatorSource, 0o600); err != nil {
		return 0, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, file)
	build.Dir = root
	arguments := []string{d.String()}
	if ahead {
		arguments = append(arguments, "ahead")
	}
	return counted(build, exec.CommandContext(ctx, program, arguments...))
}

// SodiumMissing says what libsodium's way lacks here.
func SodiumMissing() error {
	_, err := exec.LookPath("cc")
	if err == nil {
		_, err = os.Stat("/usr/include/sodium.h")
	}
	if err != nil {
		return errors.New("libsodium: a C compiler or its header is missing; make compare-packages installs the header, or: apt-get install gcc libsodium-dev")
	}
	return nil
}

// Sodium is libsodium's way. dir is for the program.
func Sodium(ctx context.Context, dir string, d time.Duration) (perSecond float64, err error) {
	program, file := filepath.Join(dir, "sodium"), filepath.Join(dir, "sodium.c")
	if err := os.WriteFile(file, sodiumSource, 0o600); err != nil {
		return 0, err
	}
	build := exec.CommandContext(ctx, "cc", "-O2", "-o", program, file, "-lsodium")
	return counted(build, exec.CommandContext(ctx, program, strconv.FormatInt(d.Milliseconds(), 10)))
}

// counted builds a program, runs it, and returns the number that it prints.
func counted(build, program *exec.Cmd) (float64, error) {
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", filepath.Base(build.Path), err, output)
	}
	output, err := program.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Base(program.Path), err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(output)), 64)
}
