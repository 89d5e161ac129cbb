package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	anyRule    = regexp.MustCompile(`\bB[0-9]+\b`)
	rulesOnly  = regexp.MustCompile(`^(B[0-9]+)+$`)
	oneRule    = regexp.MustCompile(`B[0-9]+`)
	rulesFirst = regexp.MustCompile(`^B[0-9]+([,/: _]+B[0-9]+)*([,/: _]|$)`)
)

// scan returns for each rule that a test or scenario of a module names where that is.
func scan(module fs.FS) (map[string][]string, error) {
	found := make(map[string][]string)
	err := fs.WalkDir(module, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(file) {
				return fs.SkipDir
			}
			return nil
		}
		names, err := namedIn(module, file)
		for _, name := range names {
			found[name] = append(found[name], file)
		}
		return err
	})
	return found, err
}

// skipped are directories that are not searched: this package's, and what does not belong to the module's source.
func skipped(dir string) bool {
	base := path.Base(dir)
	return dir == "internal/rules" || base == "vendor" || strings.HasPrefix(base, ".") && dir != "."
}

// namedIn returns the rules that a file names, if it is a test or a scenario.
func namedIn(module fs.FS, file string) ([]string, error) {
	inTestdata := strings.Contains("/"+file, "/testdata/")
	isScenario := strings.HasSuffix(path.Dir(file), "testdata/scenarios") && path.Ext(file) == ".txt"
	isTest := strings.HasSuffix(file, "_test.go") && !inTestdata
	if !isScenario && !isTest {
		return nil, nil
	}
	data, err := fs.ReadFile(module, file)
	if err != nil {
		return nil, err
	}
	if isScenario {
		return inScenario(string(data)), nil
	}
	return inTestFile(file, data)
}

// inScenario returns the rules in the comment at the head of a scenario.
func inScenario(text string) (names []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		names = append(names, anyRule.FindAllString(line, -1)...)
	}
	return names
}

// inTestFile returns the rules in the names of the tests and subtests of a file.
func inTestFile(file string, data []byte) (names []string, err error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, data, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	for _, declaration := range parsed.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
			names = append(names, inFunctionName(function.Name.Name)...)
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		for _, literal := range subtestNames(node) {
			names = append(names, inSubtestName(literal)...)
		}
		return true
	})
	return names, nil
}

func inFunctionName(name string) (names []string) {
	rest, isTest := strings.CutPrefix(name, "Test")
	if !isTest {
		if rest, isTest = strings.CutPrefix(name, "Fuzz"); !isTest {
			return nil
		}
	}
	for part := range strings.SplitSeq(rest, "_") {
		if rulesOnly.MatchString(part) {
			names = append(names, oneRule.FindAllString(part, -1)...)
		}
	}
	return names
}

func inSubtestName(name string) []string {
	return oneRule.FindAllString(rulesFirst.FindString(name), -1)
}

// subtestNames returns the strings of a node that may be names of subtests: the first argument of Run, and what stands
// in a table.
func subtestNames(node ast.Node) (names []string) {
	var expressions []ast.Expr
	switch node := node.(type) {
	case *ast.CallExpr:
		if selector, ok := node.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "Run" && len(node.Args) == 2 {
			expressions = node.Args[:1]
		}
	case *ast.CompositeLit:
		for _, element := range node.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				expressions = append(expressions, pair.Key, pair.Value)
			} else {
				expressions = append(expressions, element)
			}
		}
	}
	for _, expression := range expressions {
		if literal, ok := expression.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if name, err := strconv.Unquote(literal.Value); err == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestScan(t *testing.T) {
	for _, test := range []struct {
		name, file, content string
		want                string
	}{
		{"a test", "a/a_test.go", "package a\nfunc TestB12_Name(t *testing.T) {}", "B12"},
		{"the whole name", "a/a_test.go", "package a\nfunc TestB12(t *testing.T) {}", "B12"},
		{"two rules", "a/a_test.go", "package a\nfunc TestB12B3_Name(t *testing.T) {}", "B12 B3"},
		{"two parts", "a/a_test.go", "package a\nfunc TestB1_B45_Name(t *testing.T) {}", "B1 B45"},
		{"a later part", "a/a_test.go", "package a\nfunc TestServer_B45(t *testing.T) {}", "B45"},
		{"a fuzz target", "a/a_test.go", "package a\nfunc FuzzB40_Split(f *testing.F) {}", "B40"},
		{"no rule", "a/a_test.go", "package a\nfunc TestB12Name(t *testing.T) {}", ""},
		{"no test", "a/a_test.go", "package a\nfunc checkB12(t *testing.T) {}\nfunc (x) TestB3_X() {}", ""},
		{"no test file", "a/a.go", "package a\nfunc TestB12_Name(t *testing.T) {}", ""},
		{"a comment", "a/a_test.go", "package a\n// B12 and TestB13_X\nfunc TestX(t *testing.T) {}", ""},
		{"a subtest", "a/a_test.go", `package a; func TestX(t *testing.T) { t.Run("B5 wrong response", nil) }`, "B5"},
		{"subtest of two", "a/a_test.go", `package a; func TestX(t *testing.T) { t.Run("B5, B6: x", nil) }`, "B5 B6"},
		{"a table", "a/a_test.go", `package a; var x = []y{{"B7 none", 1}, {name: "B8", n: 2}}`, "B7 B8"},
		{"a map", "a/a_test.go", `package a; var x = map[string]y{"B9_x": {}}`, "B9"},
		{"another text", "a/a_test.go", `package a; func TestX(t *testing.T) { t.Error("B5 broken"); t.Run("see B6", nil) }`, ""},
		{"a longer word", "a/a_test.go", `package a; func TestX(t *testing.T) { t.Run("B5x", nil) }`, ""},
		{"a scenario", "a/testdata/scenarios/x.txt", "# B12, B13: name\n# and B1\n\n# B7\nB8\n", "B12 B13 B1"},
		{"another text file", "a/testdata/x.txt", "# B12\n", ""},
		{"test data", "a/testdata/a_test.go", "package a\nfunc TestB12_Name(t *testing.T) {}", ""},
		{"this package", "internal/rules/a_test.go", "package a\nfunc TestB12_Name(t *testing.T) {}", ""},
		{"a hidden directory", ".ci/a_test.go", "package a\nfunc TestB12_Name(t *testing.T) {}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := scan(fstest.MapFS{test.file: {Data: []byte(test.content)}})
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(test.want)
			if len(found) != len(want) {
				t.Errorf("found %v, want %v", found, want)
			}
			for _, name := range want {
				if len(found[name]) != 1 || found[name][0] != test.file {
					t.Errorf("%s is found in %v, want %s", name, found[name], test.file)
				}
			}
		})
	}
	if _, err := scan(fstest.MapFS{"a_test.go": {Data: []byte("no Go")}}); err == nil {
		t.Error("a file that is no Go: no error")
	}
}

func TestCompare(t *testing.T) {
	rules := []rule{{"B1", true, "one"}, {"B2", false, "two"}}
	for _, test := range []struct {
		name  string
		found map[string][]string
		want  string // part of the only complaint; empty: none
	}{
		{"as it should be", map[string][]string{"B1": {"x"}}, ""},
		{"covered without a test", nil, "B1 is said to be covered"},
		{"open with a test", map[string][]string{"B1": {"x"}, "B2": {"y"}}, "B2 is said to be open"},
		{"unknown", map[string][]string{"B1": {"x"}, "B3": {"z"}}, "there is no rule B3"},
	} {
		complaints := compare(rules, test.found)
		if test.want == "" && len(complaints) != 0 || test.want != "" && (len(complaints) != 1 || !strings.HasPrefix(complaints[0], test.want)) {
			t.Errorf("%s: %q, want %q", test.name, complaints, test.want)
		}
	}
}

func TestParseRules(t *testing.T) {
	var list strings.Builder
	for i := range lastRule {
		fmt.Fprintf(&list, "B%d covered x\n", i+1)
	}
	if rules, err := parseRules("# head\n" + list.String()); err != nil || len(rules) != lastRule || !rules[0].covered {
		t.Errorf("%d rules, %v", len(rules), err)
	}
	for name, text := range map[string]string{
		"nothing":      "",
		"one is gone":  strings.Replace(list.String(), "B7 covered x\n", "", 1),
		"the last one": strings.Replace(list.String(), "B45 covered x\n", "", 1),
		"one twice":    strings.Replace(list.String(), "B7 ", "B6 ", 1),
		"one more":     list.String() + "B46 open x\n",
		"other state":  strings.Replace(list.String(), "B7 covered", "B7 done", 1),
		"no summary":   strings.Replace(list.String(), "B7 covered x", "B7 covered", 1),
		"empty line":   strings.Replace(list.String(), "B7 ", "\nB7 ", 1),
	} {
		if _, err := parseRules(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
