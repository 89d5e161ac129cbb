package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"openmediator/mediator"
)

func TestEachDefaultIsInItsRange(t *testing.T) {
	for _, row := range table {
		if row.byDefault == "" {
			continue
		}
		if err := row.set(newSettings(), row.byDefault); err != nil {
			t.Errorf("default of %v", err)
		}
	}
}

// TestDefaultsAreThoseOfTheServer keeps the table and package mediator together.
func TestDefaultsAreThoseOfTheServer(t *testing.T) {
	want := mediator.DefaultConfig()
	s := newSettings()
	s.server = mediator.Config{Log: want.Log}
	for _, row := range table {
		if slices.Contains(serverSettings, row.of) && row.byDefault != "" {
			if err := row.set(s, row.byDefault); err != nil {
				t.Error(err)
			}
		}
	}
	if got, want := fmt.Sprintf("%+v", s.server), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRangesAreThoseOfTheServer(t *testing.T) {
	for _, row := range table {
		if row.low == "" {
			continue
		}
		low, lowErr := row.kind.number(row.low)
		high, highErr := row.kind.number(row.high)
		if lowErr != nil || highErr != nil || low >= high {
			t.Errorf("%s: range %s to %s makes no sense", row.name, row.low, row.high)
			continue
		}
		for _, text := range []string{row.low, row.high} {
			s := newSettings()
			if err := row.set(s, text); err != nil {
				t.Error(err)
			}
			s.server.Group.GroupBytes = max(s.server.Group.GroupBytes, s.server.Group.QueueBytes)
			s.server.Group.QueueBytes = min(s.server.Group.GroupBytes, s.server.Group.QueueBytes)
			if row.name == "max-staged-bytes" {
				s.server.Group.StagedBytes = min(s.server.StagedBytes, s.server.Group.StagedBytes)
			}
			s.server.StagedBytes = max(s.server.StagedBytes, s.server.Group.StagedBytes)
			if err := s.server.Validate(); err != nil {
				t.Errorf("%s %s is in the range of the table, and the server says: %v", row.name, text, err)
			}
		}
		unit := ""
		if row.kind == kindDuration {
			unit = "ns"
		}
		outside := []int64{high + 1}
		if low > 0 && (low > 1 || row.zero == "") {
			outside = append(outside, low-1)
		}
		for _, n := range outside {
			text := strconv.FormatInt(n, 10) + unit
			if err := row.set(newSettings(), text); err == nil || !strings.Contains(err.Error(), "not within "+row.low+" to "+row.high) {
				t.Errorf("%s %s: got %v", row.name, text, err)
			}
		}
	}
}

// TestEachSettingIsUsed fails for a row of the table whose value nothing reads.
func TestEachSettingIsUsed(t *testing.T) {
	used := fieldsRead(t, ".", "settings.go", "setting_values.go", "setting_relations.go", "setting_file.go", "setting_problems.go",
		"reload.go", "config.go", "config_check.go", "config_docs.go", "config_example.go")
	maps := []map[string]bool{used, fieldsRead(t, "../../mediator", "config.go", "reconfigure.go"),
		fieldsRead(t, "../../devicegroup", "config.go"), fieldsRead(t, "../../chatproxy")}
	targets := fieldsOfTable(t)
	if len(targets) != len(table) {
		t.Fatalf("%d rows have a field function, of %d", len(targets), len(table))
	}
	for name, path := range targets {
		// A value in the server's Config is read by package mediator, devicegroup or chatproxy, any other one here.
		in := maps[:1]
		if path[0] == "server" {
			in = maps[1:]
		}
		last := path[len(path)-1]
		if !slices.ContainsFunc(in, func(m map[string]bool) bool { return m[last] }) {
			t.Errorf("setting %s: nothing reads its field %s", name, strings.Join(path, "."))
		}
	}
}

// TestEachValueOfTheServerIsASetting fails when package mediator has a value that operators cannot set.
func TestEachValueOfTheServerIsASetting(t *testing.T) {
	targets := make(map[string]bool)
	for _, path := range fieldsOfTable(t) {
		for _, field := range path {
			targets[field] = true
		}
	}
	for _, file := range []string{"../../mediator/config.go", "../../devicegroup/config.go"} {
		for _, field := range fieldsOfConfig(t, file) {
			// Chat and Access are made of several settings (resolveUpstreams, openAccess).
			if !slices.Contains([]string{"Group", "Log", "Chat", "Access"}, field) && !targets[field] {
				t.Errorf("%s: field %s stands in no row of the table", file, field)
			}
		}
	}
}

func parseGo(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// fieldsOfTable returns, by the name of the setting, the path of the field that its row points to.
func fieldsOfTable(t *testing.T) map[string][]string {
	paths := make(map[string][]string)
	ast.Inspect(parseGo(t, "settings.go"), func(node ast.Node) bool {
		row, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		var name string
		var path []string
		for _, element := range row.Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			switch key, _ := pair.Key.(*ast.Ident); key.Name {
			case "name":
				name, _ = strconv.Unquote(pair.Value.(*ast.BasicLit).Value)
			case "field":
				path = selectorOf(pair.Value.(*ast.FuncLit))
			}
		}
		if name != "" {
			paths[name] = path
		}
		return true
	})
	return paths
}

// selectorOf returns a and b of a function that returns &s.a.b.
func selectorOf(function *ast.FuncLit) (path []string) {
	ast.Inspect(function.Body, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			path = append([]string{selector.Sel.Name}, path...)
		}
		return true
	})
	return path
}

// fieldsRead returns what is selected from anything and not assigned to, in the files of a directory but some, tests not
// counted: by what does something with it, and not only by what says whether it is right.
func fieldsRead(t *testing.T, dir string, except ...string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	read := make(map[string]bool)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") || slices.Contains(except, filepath.Base(path)) {
			continue
		}
		assigned := make(map[ast.Node]bool)
		ast.Inspect(parseGo(t, path), func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				if strings.HasPrefix(strings.ToLower(node.Name.Name), "validate") {
					return false
				}
			case *ast.AssignStmt:
				for _, left := range node.Lhs {
					assigned[left] = true
				}
			case *ast.SelectorExpr:
				if !assigned[node] {
					read[node.Sel.Name] = true
				}
			}
			return true
		})
	}
	return read
}

func fieldsOfConfig(t *testing.T, path string) (fields []string) {
	ast.Inspect(parseGo(t, path), func(node ast.Node) bool {
		if spec, ok := node.(*ast.TypeSpec); ok && spec.Name.Name == "Config" {
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range field.Names {
					fields = append(fields, name.Name)
				}
			}
		}
		return true
	})
	if len(fields) == 0 {
		t.Fatal(path, fs.ErrNotExist)
	}
	return fields
}

// withoutFile is an environment in which no configuration file is read unless it names one, whatever is in /etc.
func withoutFile(environ map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		text, ok := environ[name]
		return text, ok || name == "MEDIATOR_CONFIG"
	}
}

// loaded reads the settings of serve from a command line and an environment.
func loaded(t *testing.T, args []string, environ map[string]string) (*settings, error) {
	t.Helper()
	cmd := &cobra.Command{Use: "serve"}
	src := addSettings(cmd, withoutFile(environ), serverSettings...)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return src.load()
}

func TestSettingsComeFromFlagEnvironmentAndTable(t *testing.T) {
	environ := map[string]string{
		"MEDIATOR_MAX_SLOTS": "7", "MEDIATOR_LOG_LEVEL": "debug", "MEDIATOR_LISTEN": "127.0.0.1:1, unix:/run/x",
		"MEDIATOR_ALLOW_PLAINTEXT": "true", "MEDIATOR_MAX_ABSENCE": "48h", "MEDIATOR_PRIVACY": "strict",
	}
	s, err := loaded(t, []string{"--max-slots", "8", "--max-queue-bytes=1MiB", "--privacy", "operator"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.server.Group.MaxSlots, s.server.Group.QueueBytes, s.logLevel, s.listen, s.allowPlaintext, s.server.Group.MaxAbsence, s.server.Privacy.Level)
	if want := "8 1048576 debug [ws://127.0.0.1:1 unix:/run/x] true 48h0m0s operator"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s, err = loaded(t, []string{"--listen", "127.0.0.1:2", "--listen", "ws://[::1]:3", "--allow-plaintext"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.listen, s.allowPlaintext), "[ws://127.0.0.1:2 ws://[::1]:3] true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s, err = loaded(t, nil, nil); err != nil || s.logLevel != zerolog.InfoLevel || fmt.Sprint(s.listen) != "[ws://127.0.0.1:8440]" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestWrongSettings(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"max-slots", "16", "max-slots: 16 is not within 1 to 15 device slots"},
		{"max-slots", "many", `max-slots: "many" is not a number such as 1000`},
		{"max-connections", "99999999999", "max-connections: 99999999999 is not within 1 to 10000000 connections"},
		{"max-queue-bytes", "1kB", `max-queue-bytes: "1kB" is not a number of bytes such as 65536, 64KiB, 256MiB or 1GiB`},
		{"max-queue-bytes", "9999999TiB", `max-queue-bytes: "9999999TiB" is not a number of bytes such as 65536, 64KiB, 256MiB or 1GiB`},
		{"max-queue-bytes", "-1", `max-queue-bytes: "-1" is not a number of bytes such as 65536, 64KiB, 256MiB or 1GiB`},
		{"max-queue-bytes", "2GiB", "max-group-bytes: 1073741824 bytes are less than max-queue-bytes, 2147483648; raise the one or lower the other"},
		{"max-transaction-bytes", "64KiB", "max-transaction-bytes: 64KiB is not within 128KiB to 1GiB"},
		{"max-transaction-bytes", "512MiB", "max-staged-bytes: 268435456 bytes are less than max-transaction-bytes, 536870912; raise the one or lower the other"},
		{"max-staged-bytes", "1MiB", "max-staged-bytes: 1048576 bytes are less than max-transaction-bytes, 8388608; raise the one or lower the other"},
		{"max-transaction-ttl", "30", `max-transaction-ttl: "30" is not a time such as 90s, 10m or 24h`},
		{"max-transaction-ttl", "25h", "max-transaction-ttl: 25h is not within 1s to 24h"},
		{"max-store-bytes", "5", "max-store-bytes: 5 is not within 1MiB to 1024TiB; 0: 80 % of the file system"},
		{"handshake-timeout", "15", `handshake-timeout: "15" is not a time such as 90s, 10m or 24h`},
		{"handshake-timeout", "2h", "handshake-timeout: 2h is not within 1s to 1h"},
		{"max-absence", "10s", "max-absence: 10s is not within 1m to 87600h; 0: for ever"},
		{"log-level", "loud", `log-level: "loud" is not one of debug, info, warn, error`},
		{"log-level", "", `log-level: "" is not one of debug, info, warn, error`},
		{"privacy", "none", `privacy: "none" is not one of strict, operator, full`},
		{"privacy", "full", "privacy: full shows who the users are, and needs a time when it ends; set privacy-until to a time within 31 days"},
		{"privacy-until", "tomorrow", `privacy-until: "tomorrow" is not a time such as 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00`},
		{"allow-plaintext", "maybe", `allow-plaintext: "maybe" is neither true nor false`},
		{"listen", "8440", `listen: "8440" is not ws://HOST:PORT, wss://HOST:PORT, HOST:PORT, unix:PATH or systemd:NAME`},
		{"listen", "", `listen: "" is not ws://HOST:PORT, wss://HOST:PORT, HOST:PORT, unix:PATH or systemd:NAME`},
	} {
		t.Run(test.name+" "+test.text, func(t *testing.T) {
			_, err := loaded(t, []string{"--" + test.name + "=" + test.text}, nil)
			if err == nil || err.Error() != test.want || exitCode(err) != exitUsage {
				t.Errorf("got %v, want %s", err, test.want)
			}
			row := table[slices.IndexFunc(table, func(r setting) bool { return r.name == test.name })]
			_, err = loaded(t, nil, map[string]string{row.variable(): test.text})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("from the environment: got %v, want %s", err, test.want)
			}
			contradiction := strings.Contains(test.want, "raise the one") || strings.Contains(test.want, "set privacy-until") // of two settings
			if strings.HasPrefix(test.want, test.name) && !contradiction && !strings.HasSuffix(err.Error(), " (set by "+row.variable()+")") {
				t.Errorf("%v does not name the variable", err)
			}
		})
	}
}

func TestUnknownVariablesAreNamed(t *testing.T) {
	got := unknownVariables([]string{"PATH=x", "MEDIATOR_LISTEN=y", "MEDIATOR_PORT=tcp://10.0.0.1:80", "MEDIATOR_DATTA=z", "MEDIATOR_JSON=1"})
	if want := []string{"MEDIATOR_DATTA", "MEDIATOR_PORT"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
