package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// A line of a log may name somebody only through package privacy (B42), so no other package hands the log a value whose text
// it does not know: an error holds addresses, a Stringer or bytes may be an address or a group id.
var loose = []string{
	"AnErr", "Any", "Bytes", "Err", "Errs", "Fields", "Hex", "Interface", "IPAddr", "IPPrefix", "MACAddr", "RawJSON", "Stringer",
	"Stringers", "Type", "Msgf",
}

// looseCalls returns where a file calls one of these methods with an argument. A file that logs need not import the log: what
// has one may be of another file.
func looseCalls(name string, source []byte) (found []string, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		if method, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(loose, method.Sel.Name) && isChain(method.X) {
			found = append(found, set.Position(method.Sel.Pos()).String()+": "+method.Sel.Name)
		}
		return true
	})
	return found, nil
}

// isChain tells whether an expression may be a line of a log that is being written: the result of a call, or a variable.
func isChain(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.CallExpr:
		return true
	case *ast.Ident:
		return x.Name == "e" || x.Name == "event"
	}
	return false
}

func TestB42_OnlyPackagePrivacyNamesAnybodyInALog(t *testing.T) {
	root := os.DirFS("../..")
	files := 0
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.HasPrefix(path, "privacy/") {
			return err
		}
		files++
		source, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		found, err := looseCalls(path, source)
		for _, call := range found {
			t.Errorf("%s: the log is given something that may name a user; say what it is by Str, or who it is by package privacy", call)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func TestLooseCallsAreFound(t *testing.T) {
	const begin = "package x\nfunc (s *Server) f(err error) {\n"
	for line, want := range map[string]int{
		`log.Info().Str("cause", "reset").Int("n", 1).Msg("")`:          0,
		`log.Info().Err(err).Msg("")`:                                   1,
		`log.Info().Str("a", "b").Stringer("address", err).Msg("")`:     1,
		`e := log.Info(); e.Hex("group", nil); e.Msgf("%v", err)`:       2,
		`if ctx.Err() != nil { log.Info().Msg("") }`:                    0,
		`s.config().Log.Warn().Stringer("x", err).Msg("")`:              1,
		`log.With().Interface("x", err).Any("y", err).Logger()`:         2,
		`log.Info().EmbedObject(view.Group(group)).Msg("group closed")`: 0,
	} {
		found, err := looseCalls("x.go", []byte(begin+line+"\n}"))
		if err != nil || len(found) != want {
			t.Errorf("%s: found %v, %v, want %d", line, found, err, want)
		}
	}
}
