package devicekeys

import (
	"crypto/rand"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"openmediator/d2m"
)

func TestScopes(t *testing.T) {
	keys := testKeys(t)
	for value, name := range []string{
		"user profile", "contact", "group", "distribution list", "settings", "MDM parameter", "new device",
		"drop device", "work sync delta",
	} {
		scope := Scope(value)
		if scope.String() != name {
			t.Errorf("scope %d is %v, want %s", value, scope, name)
		}
		box, err := keys.SealScope(rand.Reader, scope)
		if err != nil {
			t.Fatal(err)
		}
		if got := keys.OpenScope(box); got != scope {
			t.Errorf("%v comes out as %v", scope, got)
		}
		plain, _, err := keys.scope.open("scope", box)
		if err != nil {
			t.Fatal(err)
		}
		want := []byte{1 << 3, byte(value)}
		if value == 0 {
			want = nil
		}
		if string(plain) != string(want) {
			t.Errorf("%v is encoded as %x, want %x", scope, plain, want)
		}
		if len(box) > d2m.MaxScopeSize {
			t.Errorf("%v has a box of %d bytes", scope, len(box))
		}
	}
}

// One app encrypts a raw byte; a later version may know further scopes.
func TestScopeThatCannotBeDecodedIsUnknown(t *testing.T) {
	keys := testKeys(t)
	plains := map[string][]byte{
		"value 9":     {1 << 3, 9},
		"value 255":   protowire.AppendVarint([]byte{1 << 3}, 255),
		"value 256":   protowire.AppendVarint([]byte{1 << 3}, 256),
		"value -1":    protowire.AppendVarint([]byte{1 << 3}, 1<<64-1),
		"value -256":  protowire.AppendVarint([]byte{1 << 3}, 1<<64-256),
		"raw 2 bytes": {8, 0xff},
	}
	for i := range 256 {
		plains[fmt.Sprintf("raw byte %d", i)] = []byte{byte(i)}
	}
	for name, plain := range plains {
		if got := ParseScope(plain); got != ScopeUnknown {
			t.Errorf("%s is %v", name, got)
		}
		box, err := keys.scope.seal("scope", rand.Reader, plain, d2m.MaxScopeSize)
		if err != nil {
			t.Fatal(err)
		}
		if got := keys.OpenScope(box); got != ScopeUnknown {
			t.Errorf("box of %s is %v", name, got)
		}
		if got := keys.OpenScope(box[:len(box)-1]); got != ScopeUnknown {
			t.Errorf("broken box of %s is %v", name, got)
		}
	}
	if got := keys.OpenScope(nil); got != ScopeUnknown {
		t.Errorf("no box is %v", got)
	}
	if ScopeUnknown.String() != "unknown" || Scope(9).String() != "unknown" {
		t.Errorf("names are %v, %v", ScopeUnknown, Scope(9))
	}
}

func TestUnlistedScopeIsNotSealed(t *testing.T) {
	for _, scope := range []Scope{9, 254, ScopeUnknown} {
		want := fmt.Sprintf("scope %d is unknown", uint8(scope))
		if box, err := testKeys(t).SealScope(rand.Reader, scope); err == nil || err.Error() != want || box != nil {
			t.Errorf("got %x, error %v, want %q", box, err, want)
		}
	}
}

func FuzzParseScope(f *testing.F) {
	for _, plain := range []string{"", "\x08\x01", "\x08\x08", "\x08\x09", "\x05"} {
		f.Add([]byte(plain))
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		scope := ParseScope(plain)
		if scope == ScopeUnknown {
			return
		}
		encoded, err := scope.plain()
		if err != nil {
			t.Fatal(err)
		}
		if again := ParseScope(encoded); again != scope {
			t.Errorf("%v parses again as %v", scope, again)
		}
	})
}
