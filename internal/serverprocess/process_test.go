package serverprocess

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsNoServerIsTold(t *testing.T) {
	p, err := Start(AnyPort, t.TempDir(), "go") // has no command "serve"
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if _, err := p.AwaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), "go serve: unknown command") {
		t.Errorf("a command that ends at once: %v", err)
	}
	if err := p.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "go serve: unknown command") {
		t.Errorf("stop of what has ended: %v", err)
	}
	if _, err := Start(AnyPort, t.TempDir(), filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a command that is not there was started")
	}
}

func TestServerLives(t *testing.T) {
	binary, err := Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	listen := AnyPort
	for _, end := range []func(*Process) error{
		func(p *Process) error { return p.Stop(t.Context()) },
		func(p *Process) error { p.Kill(); return nil },
		func(p *Process) error {
			if dump := p.Dump(); !strings.Contains(dump, "goroutine 1 ") {
				t.Errorf("dump has no goroutine:\n%s", dump)
			}
			return nil
		},
	} {
		p, err := Start(listen, data, binary)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		address, err := p.AwaitReady(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if listen != AnyPort && address != "ws://"+listen {
			t.Errorf("listens at %s, want %s again", address, listen)
		}
		listen = strings.TrimPrefix(address, "ws://")
		if err := end(p); err != nil {
			t.Error(err)
		}
		<-p.Done()
	}
}

func TestAwaitReadyEndsWithItsContext(t *testing.T) {
	p, err := Start(AnyPort, t.TempDir(), "go", "env", "GOROOT", "--") // says nothing that a server says
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.AwaitReady(ctx); err == nil {
		t.Error("a command that does not listen is ready")
	}
}

func TestBuildTellsWhatIsWrong(t *testing.T) {
	err := BuildPackage(filepath.Join(t.TempDir(), "x"), "openmediator/none")
	if err == nil || !strings.Contains(err.Error(), "openmediator/none") {
		t.Errorf("a package that is not there: %v", err)
	}
}
