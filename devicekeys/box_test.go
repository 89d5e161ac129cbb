package devicekeys

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/nacl/secretbox"

	"openmediator/d2m"
)

// boxKind is one of the three kinds of box with free contents.
type boxKind struct {
	name  string
	key   func(*Keys) *boxKey
	seal  func(*Keys, []byte) ([]byte, error)
	open  func(*Keys, []byte) ([]byte, [24]byte, error)
	limit int
}

var boxKinds = []boxKind{
	{
		"envelope", func(k *Keys) *boxKey { return k.reflect },
		func(k *Keys, plain []byte) ([]byte, error) { return k.SealEnvelope(rand.Reader, plain) },
		(*Keys).OpenEnvelope, 65_516,
	},
	{
		"device info", func(k *Keys) *boxKey { return k.deviceInfo },
		func(k *Keys, plain []byte) ([]byte, error) { return k.SealDeviceInfo(rand.Reader, plain) },
		(*Keys).OpenDeviceInfo, 4_096,
	},
	{
		"shared device data", func(k *Keys) *boxKey { return k.sharedData },
		func(k *Keys, plain []byte) ([]byte, error) { return k.SealSharedData(rand.Reader, plain) },
		(*Keys).OpenSharedData, 8_192,
	},
}

func TestBoxes(t *testing.T) {
	keys := testKeys(t)
	for _, kind := range boxKinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, size := range []int{0, 1, 1_000, kind.limit - 40} {
				plain := bytes.Repeat([]byte{'p'}, size)
				box, err := kind.seal(keys, plain)
				if err != nil {
					t.Fatal(err)
				}
				if len(box) != size+BoxOverhead {
					t.Errorf("box of %d bytes has %d", size, len(box))
				}
				got, nonce, err := kind.open(keys, box)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, plain) || !bytes.Equal(nonce[:], box[:24]) {
					t.Errorf("%d bytes come out as %d, nonce %x of %x", size, len(got), nonce, box[:24])
				}
			}
		})
	}
}

// The layout is NaCl's secretbox behind its nonce, and each kind has its own key.
func TestBoxLayoutAndKey(t *testing.T) {
	keys := testKeys(t)
	for _, kind := range boxKinds {
		nonce := [24]byte{9, 8, 7}
		box := secretbox.Seal(nonce[:], []byte("plain"), &nonce, (*[32]byte)(kind.key(keys)))
		for _, opener := range boxKinds {
			plain, gotNonce, err := opener.open(keys, box)
			if opener.name != kind.name {
				if err == nil {
					t.Errorf("%s opens as %s", kind.name, opener.name)
				}
				continue
			}
			if err != nil || string(plain) != "plain" || gotNonce != nonce {
				t.Errorf("%s: got %q, nonce %x, %v", kind.name, plain, gotNonce, err)
			}
		}
		if scope := keys.OpenScope(box); scope != ScopeUnknown {
			t.Errorf("%s opens as scope %v", kind.name, scope)
		}
	}
}

func TestBoxesThatDoNotOpen(t *testing.T) {
	keys := testKeys(t)
	others, err := FromGroupKey([32]byte{3, 2, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range boxKinds {
		t.Run(kind.name, func(t *testing.T) {
			box, err := kind.seal(keys, []byte("plain"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range box {
				changed := bytes.Clone(box)
				changed[i] ^= 1
				if _, _, err := kind.open(keys, changed); err == nil {
					t.Errorf("box with byte %d changed opens", i)
				}
			}
			want := kind.name + ": box does not open with this group's key"
			if _, _, err := kind.open(others, box); err == nil || err.Error() != want {
				t.Errorf("error of another group is %v, want %q", err, want)
			}
			for _, size := range []int{0, 23, 24, 39} {
				want := fmt.Sprintf("%s: box has %d bytes, want at least 40", kind.name, size)
				if _, _, err := kind.open(keys, box[:size]); err == nil || err.Error() != want {
					t.Errorf("error is %v, want %q", err, want)
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	keys := testKeys(t)
	rules := map[string]string{"envelope": "B40", "device info": "B11", "shared device data": "B33"}
	for _, kind := range boxKinds {
		t.Run(rules[kind.name]+" "+kind.name, func(t *testing.T) {
			_, err := kind.seal(keys, make([]byte, kind.limit-BoxOverhead+1))
			want := fmt.Sprintf("%s: box has %d bytes, want at most %d", kind.name, kind.limit+1, kind.limit)
			if err == nil || err.Error() != want {
				t.Errorf("error is %v, want %q", err, want)
			}
		})
	}
}

// The largest box goes through the mediator's own check.
func TestLargestEnvelopeIsOneThatTheMediatorTakes(t *testing.T) {
	box, err := testKeys(t).SealEnvelope(rand.Reader, make([]byte, MaxEnvelopePlainSize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d2m.Parse(d2m.Reflect{Envelope: box}.Append(nil)); err != nil {
		t.Error(err)
	}
	if len(box) != d2m.MaxEnvelopeSize {
		t.Errorf("box has %d bytes", len(box))
	}
}

func TestNoncesDiffer(t *testing.T) {
	keys := testKeys(t)
	for _, kind := range boxKinds {
		seen := map[[24]byte]bool{}
		for range 100 {
			box, err := kind.seal(keys, nil)
			if err != nil {
				t.Fatal(err)
			}
			seen[[24]byte(box)] = true
		}
		if len(seen) != 100 {
			t.Errorf("%s: %d nonces in 100 boxes", kind.name, len(seen))
		}
	}
}

func TestBrokenRandomSource(t *testing.T) {
	keys := testKeys(t)
	broken := errors.New("broken")
	source := iotest.ErrReader(broken)
	for name, seal := range map[string]func() ([]byte, error){
		"envelope":    func() ([]byte, error) { return keys.SealEnvelope(source, nil) },
		"device info": func() ([]byte, error) { return keys.SealDeviceInfo(source, nil) },
		"shared data": func() ([]byte, error) { return keys.SealSharedData(source, nil) },
		"scope":       func() ([]byte, error) { return keys.SealScope(source, ScopeGroup) },
		"padding":     func() ([]byte, error) { return Envelope{}.Append(nil, source) },
		"info":        func() ([]byte, error) { return DeviceInfo{}.Append(nil, source) },
	} {
		if box, err := seal(); !errors.Is(err, broken) || len(box) != 0 {
			t.Errorf("%s: got %d bytes, error %v", name, len(box), err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	keys := testKeys(f)
	for _, kind := range boxKinds {
		box, err := kind.seal(keys, []byte("plain"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(box)
	}
	scope, err := keys.SealScope(rand.Reader, ScopeSettings)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(scope)
	f.Fuzz(func(t *testing.T, box []byte) {
		given := bytes.Clone(box)
		opened := 0
		for _, kind := range boxKinds {
			if _, _, err := kind.open(keys, box); err == nil {
				opened++
			}
		}
		if keys.OpenScope(box) != ScopeUnknown {
			opened++
		}
		if opened > 1 {
			t.Errorf("box opens as %d kinds", opened)
		}
		if !bytes.Equal(box, given) {
			t.Error("opening changed the box")
		}
	})
}

func BenchmarkEnvelopeBox(b *testing.B) {
	keys := testKeys(b)
	plain := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		box, err := keys.SealEnvelope(rand.Reader, plain)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := keys.OpenEnvelope(box); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleKeys_SealEnvelope() {
	keys, err := FromGroupKey([32]byte{1})
	if err != nil {
		fmt.Println(err)
		return
	}
	plain, err := Envelope{Device: 7, Text: "hello"}.Append(nil, rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := keys.SealEnvelope(rand.Reader, plain)
	if err != nil {
		fmt.Println(err)
		return
	}

	// On another device. It remembers the nonce, to discard a repetition.
	plain, nonce, err := keys.OpenEnvelope(box)
	if err != nil {
		fmt.Println(err)
		return
	}
	envelope, err := ParseEnvelope(plain)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(envelope.Device, envelope.Text, len(nonce))
	// Output: 7 hello 24
}
