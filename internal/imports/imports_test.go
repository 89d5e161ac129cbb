// Package imports holds the table of what each package of the module may import, and the test that compares it with the
// code. Whoever changes the table changes the architecture: why a package stays away from something stands beside it.
package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rule says what one package imports, tests not counted. The standard library is free but for what is listed in never.
type rule struct {
	own    []string // packages of this module
	others []string // packages of other modules; an entry stands for all packages below it
	never  []string // packages of the standard library; an entry stands for all packages below it
}

// What a pure package never imports: it has no clock of its own, no socket, no file, no goroutine that others see.
var (
	outside  = []string{"net", "os", "syscall"}
	pureCore = []string{"net", "os", "syscall", "sync", "context", "crypto/rand", "math/rand"}
)

// table has a row for each package.
var table = map[string]rule{
	// The wire. Pure functions, of use to server and client alike.
	"d2m":       {own: []string{"d2m/d2mpb", "kdf"}, others: []string{"google.golang.org/protobuf", "golang.org/x/crypto"}, never: outside},
	"d2m/d2mpb": {others: []string{"google.golang.org/protobuf"}, never: outside},
	"csp":       {own: []string{"kdf"}, others: []string{"golang.org/x/crypto"}, never: outside},

	// The device side's secrets: the server knows none of it.
	"devicekeys": {
		own:    []string{"d2m", "devicekeys/devicepb", "kdf"},
		others: []string{"google.golang.org/protobuf", "golang.org/x/crypto"},
		never:  outside,
	},
	"devicekeys/devicepb": {others: []string{"google.golang.org/protobuf"}, never: outside},
	"kdf":                 {others: []string{"golang.org/x/crypto"}, never: outside},

	// The queue, and the stores below its interface. None knows of the protocol's groups above, or of another store.
	"reflect":           {own: []string{"d2m"}, never: outside},
	"reflect/memstore":  {own: []string{"d2m", "reflect"}, never: outside},
	"reflect/storetest": {own: []string{"d2m", "reflect"}, others: []string{"pgregory.net/rapid"}, never: outside},
	"reflect/boltstore": {own: []string{"d2m", "internal/durable", "reflect"}, others: []string{"go.etcd.io/bbolt", "golang.org/x/sys"}, never: []string{"net"}},

	// The core: no goroutine, lock, clock, randomness, socket or file.
	"transactions":      {own: []string{"d2m"}, never: pureCore},
	"devicegroup":       {own: []string{"d2m", "reflect", "transactions"}, never: pureCore},
	"devicegroup/model": {own: []string{"d2m"}, never: pureCore}, // nothing of the core that it is held against

	// What the operator keeps of a data directory elsewhere.
	"backup": {own: []string{"internal/durable", "reflect/boltstore"}, never: []string{"net"}},

	// Who may use the server. The mediator does not know it: it asks an interface.
	"access": {own: []string{"d2m", "internal/durable", "internal/textfile"}, others: []string{"github.com/rs/zerolog"}, never: []string{"net"}},
	// What a TLS handshake shows. It knows nothing of what is said behind it.
	"certificates": {own: []string{"internal/durable"}, others: []string{"github.com/rs/zerolog", "golang.org/x/crypto/acme"}},

	// The shell around the core. Which store there is, it does not know.
	"chatproxy": {own: []string{"csp", "d2m", "internal/nowait"}, others: []string{"golang.org/x/net/proxy", "golang.org/x/time/rate"}},
	"privacy":   {own: []string{"d2m"}, others: []string{"github.com/rs/zerolog"}},
	"mediator": {
		own: []string{"chatproxy", "d2m", "devicegroup", "internal/nowait", "privacy", "reflect"},
		others: []string{"github.com/coder/websocket", "github.com/pires/go-proxyproto", "github.com/realclientip/realclientip-go",
			"github.com/rs/zerolog", "golang.org/x/sys", "golang.org/x/time/rate"},
	},

	// The private side of the server, for its operator.
	"admin/page": {own: []string{"d2m"}}, // which server it shows, it does not know
	"admin":      {own: []string{"admin/page", "d2m", "internal/durable", "mediator"}, others: []string{"golang.org/x/net/netutil"}},
	"metrics":    {own: []string{"d2m", "mediator"}, others: []string{"github.com/prometheus/client_golang"}},

	// The chat server that the mediator can be tried with. The mediator does not know it: they meet on the wire.
	"chatserver": {
		own:    []string{"chatserver/directory", "csp", "internal/textfile"},
		others: []string{"github.com/rs/zerolog", "go.etcd.io/bbolt", "golang.org/x/net/netutil"},
	},
	"chatserver/directory": {own: []string{"csp", "kdf"}, never: []string{"os", "syscall"}},

	// The other side of the wire, which shares the codec with the server and nothing else.
	"client": {own: []string{"csp", "d2m", "devicekeys"}, others: []string{"github.com/coder/websocket"}},

	"cmd/mediator": {
		own: []string{"access", "admin", "admin/page", "backup", "certificates", "chatproxy", "chatserver", "chatserver/directory", "client", "csp", "d2m", "devicekeys",
			"internal/durable", "internal/load", "mediator", "metrics", "privacy", "reflect", "reflect/boltstore", "reflect/memstore"},
		others: []string{"github.com/coreos/go-systemd/v22", "github.com/pelletier/go-toml/v2/unstable", "github.com/rs/zerolog", "github.com/spf13/cobra", "github.com/spf13/pflag",
			"golang.org/x/sys", "golang.org/x/term"},
	},

	// Tests that look at the whole.
	"internal/chatflow":    {},
	"internal/crash":       {},
	"internal/durable":     {never: []string{"net"}},
	"internal/hostile":     {},
	"internal/history":     {own: []string{"d2m"}, never: outside},
	"internal/imports":     {},
	"internal/integration": {},

	"internal/integration/unsynced": {own: []string{"mediator", "reflect/boltstore"}},
	"internal/listen":               {},
	"internal/load":                 {own: []string{"client", "csp", "d2m"}, others: []string{"golang.org/x/sys"}}, // a client: nothing of the server
	"internal/mutate":               {},
	"internal/nowait":               {},
	"internal/powercut":             {own: []string{"d2m", "reflect", "reflect/boltstore"}},
	"internal/powercut/driver":      {own: []string{"d2m", "internal/powercut", "reflect", "reflect/boltstore"}},
	"internal/rules":                {},
	"internal/serverprocess":        {},
	"internal/textfile":             {never: []string{"net"}},
	"internal/torture": {
		own:    []string{"client", "csp", "d2m", "devicekeys", "internal/history", "internal/serverprocess"},
		others: []string{"go.etcd.io/bbolt"},
	},
}

const module = "openmediator"

// pkg is what is read of a package's files.
type pkg struct {
	imports map[string]string // of all files but tests: import path, a file that has it
	docs    []string          // files with a package comment, tests not counted unless there is nothing else
	code    bool              // it has files that are no tests
	testDoc bool              // a test file has a package comment
}

// readModule reads the import clauses of all packages. Directories with a module of their own are not looked into.
func readModule(t *testing.T) (packages map[string]*pkg, standardReflect []string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	packages = make(map[string]*pkg)
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if file != root && (name == "testdata" || strings.HasPrefix(name, ".") || exists(filepath.Join(file, "go.mod"))) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		if packages[dir] == nil {
			packages[dir] = &pkg{imports: make(map[string]string)}
		}
		usesReflect, err := packages[dir].read(file)
		if usesReflect {
			standardReflect = append(standardReflect, path.Join(dir, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages, standardReflect
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// read adds a file, and says whether it is written by hand and imports the standard library's reflect.
func (p *pkg) read(file string) (usesReflect bool, err error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return false, err
	}
	base := filepath.Base(file)
	test := strings.HasSuffix(base, "_test.go")
	documented := parsed.Doc != nil && strings.HasPrefix(parsed.Doc.Text(), "Package ") ||
		parsed.Doc != nil && strings.HasPrefix(parsed.Doc.Text(), "Command ")
	if test {
		p.testDoc = p.testDoc || documented
	} else {
		p.code = true
		if documented {
			p.docs = append(p.docs, base)
		}
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return false, err
		}
		usesReflect = usesReflect || imported == "reflect" && !ast.IsGenerated(parsed)
		if !test {
			p.imports[imported] = base
		}
	}
	return usesReflect, nil
}

// allows says why a package may not import another one, or "".
func (r rule) allows(imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	own, isOwn := strings.CutPrefix(imported, module+"/")
	switch {
	case isOwn && !slices.Contains(r.own, own):
		return "is not among the packages of this module that it may import"
	case isOwn:
	case strings.Contains(first, ".") && !slices.ContainsFunc(r.others, func(other string) bool { return below(imported, other) }):
		return "is not among the modules that it may import"
	case slices.ContainsFunc(r.never, func(never string) bool { return below(imported, never) }):
		return "is what it must stay away from"
	}
	return ""
}

func below(imported, entry string) bool {
	return imported == entry || strings.HasPrefix(imported, entry+"/")
}

func TestImports(t *testing.T) {
	packages, _ := readModule(t)
	for name, p := range packages {
		row, listed := table[name]
		if !listed {
			t.Errorf("package %s has no row in the table", name)
			continue
		}
		for imported, file := range p.imports {
			if why := row.allows(imported); why != "" {
				t.Errorf("%s/%s imports %s, which %s", name, file, imported, why)
			}
		}
	}
	for name := range table {
		if packages[name] == nil {
			t.Errorf("the table has a row for %s, which is not there", name)
		}
	}
}

// Package reflect is the reflection queue. The standard library's package of that name is nowhere needed, tests
// included, so the name stays clear.
func TestStandardReflectIsNotUsed(t *testing.T) {
	packages, users := readModule(t)
	if len(packages) < 10 {
		t.Fatalf("only %d packages were read", len(packages))
	}
	for _, file := range users {
		t.Errorf("%s imports the standard library's reflect", file)
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	packages, _ := readModule(t)
	for name, p := range packages {
		switch {
		case p.code && len(p.docs) == 0, !p.code && !p.testDoc:
			t.Errorf("package %s has no package comment", name)
		case len(p.docs) > 1:
			t.Errorf("package %s has package comments in %s", name, strings.Join(p.docs, " and "))
		}
	}
}

// The rules themselves, on imports that are plainly right or wrong.
func TestAllows(t *testing.T) {
	for _, test := range []struct {
		name, imported string
		fine           bool
	}{
		{"d2m", "openmediator/d2m/d2mpb", true},
		{"d2m", "openmediator/reflect", false},
		{"d2m", "net", false},
		{"d2m", "net/http", false},
		{"d2m", "netip", true},
		{"d2m", "google.golang.org/protobuf/proto", true},
		{"d2m", "google.golang.org/protobufs", false},
		{"devicegroup", "time", true},
		{"devicegroup", "sync/atomic", false},
		{"devicegroup", "openmediator/reflect/boltstore", false},
		{"devicegroup/model", "openmediator/devicegroup", false},
		{"mediator", "go.etcd.io/bbolt", false},
		{"mediator", "openmediator/client", false},
		{"client", "openmediator/mediator", false},
	} {
		if why := table[test.name].allows(test.imported); (why == "") != test.fine {
			t.Errorf("%s imports %s: %q", test.name, test.imported, why)
		}
	}
}
