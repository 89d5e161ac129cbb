package access

import (
	"strings"
	"testing"
)

func TestCodeInPath(t *testing.T) {
	code := strings.Repeat("a7", CodeSize/2)
	other := strings.Repeat("b2", CodeSize/2)
	for path, want := range map[string]string{
		"/i/" + code + "/":                    code,
		"/i/" + code + "/0a20ff":              code,
		"//i//" + code + "//0a20ff":           code,
		"/mediator/4f/i/" + code + "/4f/0a":   code,
		"/i/" + strings.ToUpper(code) + "/0a": code,
		"/i/i/" + code + "/0a":                code,
		"/i/" + code + "/i/" + other + "/0a":  code,
		"/i/short/i/" + other + "/0a":         other,
		"/i/" + code:                          "", // the last segment is the device's
		"/I/" + code + "/":                    "",
		"/" + code + "/":                      "",
		"/i/x/" + code + "/":                  "",
		"/i/" + code + "a/":                   "",
		"/i/" + code[1:] + "/":                "",
		"/i/" + code[1:] + "1/":               "",
		"/i/" + code[1:] + "\x00/":            "",
		"/i/" + code[2:] + "é/":               "",
		"":                                    "",
		"/":                                   "",
		"i":                                   "",
	} {
		got, ok := CodeInPath(path)
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", path, got, ok)
		}
	}
}

func TestCodesAreNew(t *testing.T) {
	a, b := newCode(), newCode()
	if a == b {
		t.Error("two codes are the same")
	}
	if found, ok := CodeInPath("/x/" + a.Path() + "/0a20"); !ok || found != a {
		t.Errorf("got %q, %v", found, ok)
	}
}

func FuzzCodeInPath(f *testing.F) {
	code := strings.Repeat("a7", CodeSize/2)
	for _, path := range []string{"", "/", "/i/" + code + "/0a20", "//i//" + code + "/i/x/", "/i/" + code, "/i/i/i/" + code + "//"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		code, ok := CodeInPath(path)
		if !ok {
			if code != "" {
				t.Fatalf("none, and yet %q", code)
			}
			return
		}
		if !isCode(string(code)) || strings.ToLower(string(code)) != string(code) {
			t.Fatalf("%q is no code", code)
		}
		if again, ok := CodeInPath("/" + code.Path() + "/"); !ok || again != code {
			t.Fatalf("got %q, %v from the path of %q", again, ok, code)
		}
		if _, ok := CodeInPath(path + "/0a20"); !ok {
			t.Fatal("not found with one more segment behind it")
		}
	})
}
