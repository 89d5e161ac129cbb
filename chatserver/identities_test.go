package chatserver_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/chatserver"
	"openmediator/chatserver/directory"
)

func line(id string, u user) string {
	return id + " " + directory.FormatPublicKey(u.key.PublicKey()) + "\n"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestIdentitiesAreParsed(t *testing.T) {
	a, b := user{key: newKey(t)}, user{key: newKey(t)}
	text := "# those of the test\n\n" + line("AAAAAAAA", a) + "  \t\r\n\t" + strings.TrimSpace(line("Z2345678", b)) + "\r\n#" + line("CCCCCCCC", b)
	keys, err := chatserver.ParseIdentities([]byte(text + strings.ToUpper(line("UPPER000", a))))
	if err != nil || len(keys) != 3 {
		t.Fatal(len(keys), err)
	}
	for id, want := range map[string]user{"AAAAAAAA": a, "Z2345678": b, "UPPER000": a} {
		if key, ok := keys.PublicKey(identity(t, id)); !ok || !key.Equal(want.key.PublicKey()) {
			t.Errorf("%s: %v", id, key)
		}
	}
}

func TestWrongIdentitiesNameTheLine(t *testing.T) {
	a := user{key: newKey(t)}
	key := hex.EncodeToString(a.key.PublicKey().Bytes())
	for _, test := range []struct{ name, line, want string }{
		{"one word", "AAAAAAAA", "line 3: it has 1 words"},
		{"three words", "AAAAAAAA " + key + " x", "line 3: it has 3 words"},
		{"short identity", "AAAAAAA " + key, "line 3: its identity"},
		{"lower case", "aaaaaaaa " + key, "line 3: its identity"},
		{"short key", "AAAAAAAA " + key[2:], "line 3: public key"},
		{"no hexadecimal digits", "AAAAAAAA x" + key[1:], "line 3: public key"},
		{"key of low order", "AAAAAAAA " + strings.Repeat("0", 64), "line 3: public key"},
		{"twice", "FIRST000 " + key, "line 3: its identity stands in line 2 already"},
		{"binary", "\x00\xff\xfe", "line 3: it has 1 words"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := chatserver.ParseIdentities([]byte("#\n" + line("FIRST000", a) + test.line + "\n"))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), key[2:10]) || strings.Contains(err.Error(), "AAAA") || strings.Contains(err.Error(), "FIRST") {
				t.Errorf("%v says what stands there", err)
			}
		})
	}
}

func TestIdentityFileIsReadAgainWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "identities")
		a, b := user{identity(t, "AAAAAAAA"), newKey(t)}, user{identity(t, "BBBBBBBB"), newKey(t)}
		write(t, path, line("AAAAAAAA", a))
		log := new(logBuffer)
		file, err := chatserver.OpenIdentityFile(path, zerolog.New(log))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		time.Sleep(500 * time.Millisecond) // so that nothing is written at the moment of a look
		expect := func(name string, wantA, wantB bool, wantLog string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			_, gotA := file.PublicKey(a.id)
			_, gotB := file.PublicKey(b.id)
			if gotA != wantA || gotB != wantB {
				t.Errorf("%s: knows A %v and B %v", name, gotA, gotB)
			}
			if n := strings.Count(log.String(), "\n"); wantLog == "" && n != 0 || wantLog != "" && (n != 1 || !strings.Contains(log.String(), wantLog)) {
				t.Errorf("%s: the log is %q, want one line with %q", name, log, wantLog)
			}
			log.reset()
		}
		expect("unchanged", true, false, "")
		write(t, path, line("AAAAAAAA", a)+line("BBBBBBBB", b))
		expect("one more", true, true, "read again")
		write(t, path, line("BBBBBBBB", b)+"AAAAAAAA\n")
		expect("broken", true, true, "line 2: it has 1 words")
		write(t, path, line("BBBBBBBB", b))
		expect("one less", false, true, "read again")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("removed", false, true, "cannot be read")
		write(t, path, line("BBBBBBBB", b))
		expect("the same again", false, true, "")
		write(t, path+".new", line("AAAAAAAA", a))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		expect("replaced by one of the same size", true, false, "read again")
		write(t, path, "")
		time.Sleep(time.Second)
		write(t, path, line("AAAAAAAA", a)+line("BBBBBBBB", b))
		expect("empty for a moment", true, true, "read again")
		write(t, path, "")
		expect("emptied", false, false, "read again")
	})
}

func TestIdentityFileThatCannotBeReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "broken"), "AAAAAAAA\n")
	write(t, filepath.Join(dir, "large"), strings.Repeat("#\n", chatserver.MaxIdentityFile/2+1))
	for name, want := range map[string]string{
		"missing": "no such file", "broken": "line 1: it has 1 words", ".": "it is a directory", "large": "more than 16777216 bytes",
	} {
		_, err := chatserver.OpenIdentityFile(filepath.Join(dir, name), zerolog.Nop())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "identity file "+dir) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}
