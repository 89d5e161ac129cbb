package admin_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"openmediator/admin"
)

func TestTokenIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := admin.OpenToken(dir)
	if err != nil || len(first) < 20 {
		t.Fatalf("%q, %v", first, err)
	}
	info, err := os.Stat(filepath.Join(dir, admin.TokenName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if second, err := admin.OpenToken(dir); err != nil || second != first {
		t.Errorf("the second time it is %q, %v", second, err)
	}
	if other, err := admin.OpenToken(t.TempDir()); err != nil || other == first {
		t.Errorf("another directory has %q, %v", other, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
}

func TestTokenFilesThatAreWrong(t *testing.T) {
	long := strings.Repeat("a", 30)
	for name, test := range map[string]struct {
		text string
		mode fs.FileMode
		want string
	}{
		"by hand":  {"  " + long + "\n", 0o600, ""},
		"empty":    {"", 0o600, "does not hold 20 to 200 letters"},
		"short":    {long[:19], 0o600, "does not hold"},
		"too long": {strings.Repeat("a", 201), 0o600, "does not hold"},
		"huge":     {strings.Repeat("a", 1<<20), 0o600, "does not hold"},
		"spaces":   {long + " " + long, 0o600, "does not hold"},
		"binary":   {long + "\x00", 0o600, "does not hold"},
		"public":   {long, 0o644, "others than its owner"},
		"of group": {long, 0o640, "(mode 0640); chmod 600 it"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, admin.TokenName)
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		token, err := admin.OpenToken(dir)
		if test.want == "" && (err != nil || string(token) != long) ||
			test.want != "" && (err == nil || token != "" || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %q, %v", name, token, err)
		}
		if err != nil && strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != test.text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// What is no file is refused, and not waited for: nobody writes into the pipe.
func TestTokenThatIsNoFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, admin.TokenName)
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if token, err := admin.OpenToken(dir); err == nil || token != "" || !strings.Contains(err.Error(), path+": is not a file; move it away") {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

func TestTokenIsRequired(t *testing.T) {
	token := admin.Token("correct-horse-battery")
	f := newFake()
	handler := token.Require(f.handler())
	for authorization, want := range map[string]int{
		"":                                            401,
		"Bearer":                                      401,
		"Bearer ":                                     401,
		"Bearer wrong":                                401,
		"Bearer correct-horse-batter":                 401,
		"Bearer correct-horse-battery2":               401,
		"Bearer correct-horse-batterY":                401,
		"Basic correct-horse-battery":                 401,
		"correct-horse-battery":                       401,
		"Bearer " + strings.Repeat("x", 4000):         401,
		"Bearer correct-horse-battery":                200,
		"bearer   correct-horse-battery ":             200,
		"Bearer correct-horse-battery, Bearer second": 401,
	} {
		for _, path := range []string{"/groups", "/privacy", "/metrics", "/", "/none", "/livez/../groups", "/LIVEZ", "/readyz/", "//livez"} {
			request := httptest.NewRequest("GET", path, nil)
			if authorization != "" {
				request.Header.Set("Authorization", authorization)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if (answer.Code == http.StatusUnauthorized) != (want == http.StatusUnauthorized) {
				t.Errorf("%s with %.40q: answered with %d, want %d", path, authorization, answer.Code, want)
			}
			if strings.Contains(answer.Body.String(), "horse") {
				t.Errorf("%s: the answer tells the token: %s", path, answer.Body)
			}
		}
		request := httptest.NewRequest("DELETE", "/groups/01", nil)
		request.Header.Set("Authorization", authorization)
		handler.ServeHTTP(httptest.NewRecorder(), request)
		if (len(f.forgotten) > 0) != (want == 200) {
			t.Errorf("with %.40q, forgotten: %v", authorization, f.forgotten)
		}
		f.forgotten = nil
	}
}

func TestProbesNeedNoToken(t *testing.T) {
	handler := admin.Token("correct-horse-battery").Require(newFake().handler())
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != want {
			t.Errorf("%s: answered with %d, want %d", path, answer.Code, want)
		}
	}
}
