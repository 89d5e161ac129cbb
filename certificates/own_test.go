package certificates

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/acme"
)

// fakeIssuer makes certificates for three hours, of which one is over.
type fakeIssuer struct {
	t     testing.TB
	names []string

	mu      sync.Mutex
	failure error
	asked   []time.Time
}

// fail makes it fail from now on; nil: no more.
func (f *fakeIssuer) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
}

// attempts are the times at which it was asked.
func (f *fakeIssuer) attempts() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fakeIssuer) issue(_ context.Context, key crypto.Signer) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, time.Now())
	if f.failure != nil {
		return nil, f.failure
	}
	template := &x509.Certificate{DNSNames: f.names}
	leaf, err := sign(template, 3*time.Hour, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (f *fakeIssuer) covers(c *tls.Certificate) bool { return coversNames(c, f.names) }

// renewing runs a test with a source that has its certificates from f.
func renewing(t *testing.T, f *fakeIssuer, test func(o *own, log *logBuffer)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		keys, err := OpenKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		f.t, f.names = t, []string{"server.example"}
		var log logBuffer
		o := newOwn(keys, f, log.log())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			o.Run(ctx)
			close(done)
		}()
		synctest.Wait()
		test(&o, &log)
		cancel()
		<-done
	})
}

// A renewal keeps the key, whenever it comes: when a third of the time is left.
func TestKeySurvivesRenewals(t *testing.T) {
	f := &fakeIssuer{}
	renewing(t, f, func(o *own, _ *logBuffer) {
		first := o.current.Load().Leaf
		time.Sleep(50 * time.Minute)
		if !o.current.Load().Leaf.Equal(first) {
			t.Error("renewed too early")
		}
		for range 5 {
			before := o.current.Load().Leaf
			time.Sleep(61 * time.Minute)
			synctest.Wait()
			leaf := o.current.Load().Leaf
			if leaf.Equal(before) {
				t.Error("not renewed")
			}
			if PinOf(leaf) != PinOf(first) {
				t.Error("the key is another one")
			}
		}
	})
}

// A rotation, by whatever process, is taken up within seconds, and the pin given out before holds.
func TestRotation(t *testing.T) {
	f := &fakeIssuer{}
	renewing(t, f, func(o *own, _ *logBuffer) {
		next, err := o.keys.Next()
		if err != nil {
			t.Fatal(err)
		}
		before := PinOf(o.current.Load().Leaf)
		f.fail(errors.New("authority: is away"))
		if err := (&Keys{o.keys.dir}).Rotate(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(watchInterval + time.Second)
		if PinOf(o.current.Load().Leaf) != before {
			t.Error("the old certificate is not used until there is another one")
		}
		f.fail(nil)
		o.Reload()
		synctest.Wait()
		if got := PinOf(o.current.Load().Leaf); got != PinOfKey(next) || got == before {
			t.Errorf("the pin is %s, want that of the next key", got)
		}
		if after, err := o.keys.Next(); err != nil || PinOfKey(after) == PinOfKey(next) {
			t.Errorf("there is no new next key: %v", err)
		}
	})
}

// Failures are not repeated fast: 1, 4, 16, 64 minutes, then every 4 hours; or as the authority says.
func TestFailuresAreNotRepeatedFast(t *testing.T) {
	f := &fakeIssuer{failure: errors.New("authority: is away")}
	renewing(t, f, func(o *own, log *logBuffer) {
		if _, err := o.current.get(nil); err == nil {
			t.Error("there is a certificate")
		}
		time.Sleep(24 * time.Hour)
		if n := len(f.attempts()); n < 8 || n > 10 {
			t.Errorf("%d attempts in a day", n)
		}
		for i, want := range []time.Duration{time.Minute, 4 * time.Minute, 16 * time.Minute, 64 * time.Minute, 4 * time.Hour, 4 * time.Hour} {
			if got := f.attempts()[i+1].Sub(f.attempts()[i]); got < want || got > want+watchInterval {
				t.Errorf("attempt %d came after %v, want %v", i+1, got, want)
			}
		}
		if text := log.take(); !strings.Contains(text, "authority: is away") || strings.Count(text, "\n") != len(f.attempts()) {
			t.Errorf("log: %s", text)
		}
		f.fail(&acme.Error{ProblemType: "urn:ietf:params:acme:error:rateLimited", Header: map[string][]string{"Retry-After": {"86400"}}})
		o.Reload()
		synctest.Wait()
		n := len(f.attempts())
		time.Sleep(24*time.Hour - time.Minute)
		if len(f.attempts()) != n {
			t.Error("the authority said to wait for a day")
		}
		f.fail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if o.current.Load() == nil {
			t.Error("there is no certificate when all is well again")
		}
	})
}

// A key that is damaged is not replaced by another one.
func TestDamagedKeyIsNotReplaced(t *testing.T) {
	f := &fakeIssuer{}
	renewing(t, f, func(o *own, log *logBuffer) {
		log.take()
		write(t, o.keys.path(presentName), []byte("garbage"))
		time.Sleep(100 * time.Minute)
		synctest.Wait()
		text := log.take()
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, "restore it from a backup") || len(f.attempts()) != 1 {
			t.Errorf("%d attempts, log: %s", len(f.attempts()), text)
		}
	})
}

func TestKeysAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	pins := make(map[Pin]bool)
	for range 3 {
		keys, err := OpenKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, get := range []func() (crypto.Signer, error){keys.Present, keys.Next} {
			key, err := get()
			if err != nil {
				t.Fatal(err)
			}
			pins[PinOfKey(key)] = true
		}
	}
	if len(pins) != 2 {
		t.Errorf("%d keys, want the present and the next", len(pins))
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		info, _ := os.Lstat(path)
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %v", path, mode)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	keys, _ := OpenKeys(dir)
	next, _ := keys.Next()
	if err := keys.ReplaceNext(); err != nil {
		t.Fatal(err)
	}
	if after, err := keys.Next(); err != nil || PinOfKey(after) == PinOfKey(next) {
		t.Errorf("the next key is the same: %v", err)
	}
}

// The development CA and the key stay over restarts; the leaf is for all names; nobody else is trusted.
func TestDevelopment(t *testing.T) {
	dir := t.TempDir()
	var log logBuffer
	names := []string{"localhost", "127.0.0.1", "::1"}
	var pin Pin
	var ca []byte
	for range 2 {
		d, err := NewDevelopment(dir, names, log.log())
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(d.CAFile())
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		for _, name := range names {
			state, err := shake(d.Config(), &tls.Config{RootCAs: roots, ServerName: name})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := PinOf(state.PeerCertificates[0]); pin != "" && got != pin {
				t.Error("the key is another one after a restart")
			} else {
				pin = got
			}
		}
		if _, err := shake(d.Config(), &tls.Config{ServerName: "localhost"}); err == nil {
			t.Error("it is trusted by those who were not told")
		}
		if _, err := shake(d.Config(), &tls.Config{RootCAs: roots, ServerName: "other"}); err == nil {
			t.Error("it is valid for other names")
		}
		if ca != nil && string(ca) != string(text) {
			t.Error("the CA is another one after a restart")
		}
		ca = text
	}
	if !pin.Valid() || Pin("x"+pin[1:]+"x").Valid() || Pin("").Valid() {
		t.Errorf("%q", pin)
	}
}

func TestCheckDomain(t *testing.T) {
	for _, name := range []string{"mediator.example.net", "a.b", "xn--bcher-kva.example", "A-1.example"} {
		if err := CheckDomain(name); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{
		"": "is not a full host name", "localhost": "is not a full host name", "*.example.net": "name each",
		"192.0.2.1": "is an address", "2001:db8::1": "is not a full host name", "bücher.example": "xn--",
		"a..b": "is not a host name", "-a.b": "is not a host name", "a-.b": "is not a host name", "a b.c": "is not a host name",
		"a.b.": "is not", "https://a.b": "is not a host name", "a.b:443": "is not a host name",
		strings.Repeat("a", 64) + ".b": "is not a host name", strings.Repeat("a.", 127) + "b": "is not a full host name",
	} {
		if err := CheckDomain(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want one that says %q", name, err, want)
		}
	}
}
