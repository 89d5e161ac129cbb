package main

import (
	"go/ast"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"openmediator/client"
	"openmediator/d2m"
)

// reloading is a server with a configuration file.
type reloading struct {
	*process
	t    *testing.T
	file string
	url  string
}

func startReloading(t *testing.T, config string) *reloading {
	t.Helper()
	s := newShell(t)
	r := &reloading{t: t, file: s.path("mediator.toml")}
	writeFile(t, r.file, "listen = [\"127.0.0.1:0\"]\n"+config)
	r.process = s.start("serve", "--config", r.file)
	r.url = r.listening()
	return r
}

// reload changes the file and returns what the log says until the line that ends with the outcome.
func (r *reloading) reload(config, outcome string) string {
	r.t.Helper()
	before := len(r.stderr.String())
	writeFile(r.t, r.file, "listen = [\"127.0.0.1:0\"]\n"+config)
	r.signal(syscall.SIGHUP)
	r.stderr.awaitAfter(r.t, before, outcome)
	return r.stderr.String()[before:]
}

// awaitAfter is await for what is printed after a number of bytes.
func (r *transcript) awaitAfter(t testing.TB, before int, text string) {
	t.Helper()
	ctx := testContext(t)
	for {
		all, ended, changed := r.look()
		if rest := all[before:]; strings.Contains(rest, text) && strings.HasSuffix(rest, "\n") {
			return
		}
		if ended {
			t.Fatalf("the process has ended:\n%s", all)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no %q; there is:\n%s", text, all)
		}
	}
}

// TestReload changes settings below a connected device, which stays.
func TestReload(t *testing.T) {
	t.Parallel()
	r := startReloading(t, "max-slots = 2\n")
	keys := newTestKeys(t)
	wire := login(t, r.url, keys, 1)
	slots := func() uint32 {
		t.Helper()
		full, err := client.URL(r.url, keys.GroupID(), client.DefaultServerGroup)
		if err != nil {
			t.Fatal(err)
		}
		second, err := client.Dialer{}.Dial(testContext(t), full)
		if err != nil {
			t.Fatal(err)
		}
		defer second.CloseNow()
		info, err := second.Login(testContext(t), keys, d2m.ClientHello{DeviceID: 2})
		if err != nil {
			t.Fatal(err)
		}
		return info.MaxDeviceSlots
	}
	said := r.reload("max-slots = 5\nlog-level = \"debug\"\nmax-queue-bytes = \"262144KiB\"\n", "configuration reloaded")
	if !strings.Contains(said, `"changed":["log-level","max-slots"]`) || !strings.Contains(said, `"file":"`+r.file+`"`) {
		t.Errorf("the log says %s", said)
	}
	if got := slots(); got != 5 {
		t.Errorf("%d slots after the reload", got)
	}
	r.stderr.await(t, `"level":"debug"`)

	for _, wrong := range []struct {
		config string
		want   []string
	}{
		{"max-slots = 7\nmax-slot = 7\nprivacy = 1\n", []string{r.file + ":3: \\\"max-slot\\\" is not a setting; is max-slots meant?",
			r.file + ":4: privacy: a string is wanted", `"wrong":2`}},
		{"max-slots = 7\ndata = \"/elsewhere\"\ncompact-every = \"48h\"\n", []string{`"setting":"data"`, `"from":"` + r.file + `:3"`,
			`"setting":"compact-every"`, "restart the server", `"wrong":2`}},
	} {
		said := r.reload(wrong.config, "configuration not reloaded: nothing has changed")
		for _, want := range wrong.want {
			if !strings.Contains(said, want) {
				t.Errorf("the log does not say %s:\n%s", want, said)
			}
		}
		if got := slots(); got != 5 {
			t.Errorf("%d slots after a reload that was refused", got)
		}
	}
	os.Remove(r.file)
	before := len(r.stderr.String())
	r.signal(syscall.SIGHUP)
	r.stderr.awaitAfter(t, before, "configuration not reloaded: nothing has changed")

	if err := wire.Send(testContext(t), d2m.GetDevicesInfo{}); err != nil {
		t.Fatal(err)
	}
	if _, err := receive[d2m.DevicesInfo](t, wire); err != nil {
		t.Errorf("the first device: %v", err)
	}
	wire.CloseNow()
	r.stop()
}

// TestReloadableSettingsAreApplied fails for a setting that claims to need no restart, although nothing hands it to the
// running server: what is not in the server's Config has to be applied in reload.go or made into it by a relation.
func TestReloadableSettingsAreApplied(t *testing.T) {
	applied := make(map[string]bool)
	for _, path := range []string{"reload.go", "upstream.go"} {
		ast.Inspect(parseGo(t, path), func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				applied[selector.Sel.Name] = true
			}
			return true
		})
	}
	applied[fieldsOfTable(t)["public-url"][0]] = true // which other commands read
	for name, path := range fieldsOfTable(t) {
		row := rowOf(name)
		if slices.Contains(serverSettings, row.of) && row.restart == "" && path[0] != "server" && !applied[path[0]] {
			t.Errorf("setting %s: nothing applies it while the server runs; say in restart why", name)
		}
	}
}
