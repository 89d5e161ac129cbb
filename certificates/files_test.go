package certificates

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// watched are files that a Files in a bubble of fake time watches.
type watched struct {
	t     *testing.T
	dir   string
	files *Files
	log   logBuffer
}

// watch runs a test with files for a key, and a Files that watches them.
func watch(t *testing.T, test func(w *watched)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, dir: dir}
		key := newECDSA(t)
		w.write(chainText(certify(t, key, nil)), keyText(t, key))
		var err error
		if w.files, err = NewFiles(w.path("chain"), w.path("key"), w.log.log()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			w.files.Run(ctx)
			close(done)
		}()
		test(w)
		cancel()
		<-done
	})
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watched) write(chain, key []byte) {
	w.t.Helper()
	write(w.t, w.path("chain"), chain)
	write(w.t, w.path("key"), key)
}

// settle waits until what is there now has been looked at often enough.
func (w *watched) settle() string {
	time.Sleep(3 * lookInterval)
	synctest.Wait()
	return w.log.take()
}

func (w *watched) expect(want *x509.Certificate) {
	w.t.Helper()
	if got := shown(w.t, w.files); !got.Equal(want) {
		w.t.Errorf("another certificate is shown, with the pin %s", PinOf(got))
	}
}

func TestFilesAreWatched(t *testing.T) {
	watch(t, func(w *watched) {
		if log := w.settle(); log != "" {
			t.Errorf("log: %s", log)
		}
		// Renewed with the same key.
		key, err := loadKey(w.path("key"))
		if err != nil {
			t.Fatal(err)
		}
		renewed := certify(t, key, nil)
		write(t, w.path("chain"), chainText(renewed))
		if log := w.settle(); !strings.Contains(log, "TLS certificate replaced") || strings.Contains(log, "another one") {
			t.Errorf("log: %s", log)
		}
		w.expect(renewed)

		// With another one: the log warns of the pin. The two files come one after the other.
		other := newECDSA(t)
		another := certify(t, other, nil)
		write(t, w.path("chain"), chainText(another))
		time.Sleep(lookInterval)
		w.expect(renewed)
		write(t, w.path("key"), keyText(t, other))
		if log := w.settle(); strings.Contains(log, "cannot be used") || !strings.Contains(log, string(PinOf(another))) ||
			!strings.Contains(log, string(PinOf(renewed))) {
			t.Errorf("log: %s", log)
		}
		w.expect(another)
	})
}

// A directory that a symbolic link leads to, as certbot and Kubernetes have it, and a rename.
func TestFilesAreSwapped(t *testing.T) {
	dir := t.TempDir()
	version := func(name string) (leaf *x509.Certificate) {
		key := newECDSA(t)
		leaf = certify(t, key, nil)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "chain"), chainText(leaf))
		write(t, filepath.Join(dir, name, "key"), keyText(t, key))
		return leaf
	}
	link := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "live")); err != nil {
			t.Fatal(err)
		}
	}
	version("one")
	second, third := version("two"), version("three")
	link("one")
	var log logBuffer
	f, err := NewFiles(filepath.Join(dir, "live", "chain"), filepath.Join(dir, "live", "key"), log.log())
	if err != nil {
		t.Fatal(err)
	}
	link("two")
	f.look(true)
	if !shown(t, f).Equal(second) {
		t.Error("the link is swapped, and the old certificate is shown")
	}
	for _, name := range []string{"chain", "key"} {
		if err := os.Rename(filepath.Join(dir, "three", name), filepath.Join(dir, "two", name)); err != nil {
			t.Fatal(err)
		}
	}
	f.look(true)
	if !shown(t, f).Equal(third) {
		t.Error("the files are renamed, and the old certificate is shown")
	}
}

// Whatever is wrong with new files, the old certificate stays, and the log says why, once. When they are right again they
// are taken.
func TestFilesThatCannotBeUsed(t *testing.T) {
	watch(t, func(w *watched) {
		before := shown(t, w.files)
		key, other := newECDSA(t), newECDSA(t)
		good := certify(t, key, nil)
		ended, err := sign(&x509.Certificate{DNSNames: []string{"server.example"}}, time.Minute, good, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name       string
			chain, key []byte
			want       string
		}{
			{"mismatch", chainText(good), keyText(t, other), "does not belong to the certificate"},
			{"expired", chainText(ended), keyText(t, key), "has expired at"},
			{"garbage", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), keyText(t, key), "is damaged"},
			{"empty", nil, nil, "holds none in PEM form"},
		} {
			w.write(test.chain, test.key)
			log := w.settle() + w.settle()
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, test.want) || !strings.Contains(log, "stays the old one") {
				t.Errorf("%s: log: %s", test.name, log)
			}
			w.expect(before)
		}
		for _, name := range []string{"chain", "key"} {
			if err := os.Remove(w.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		if log := w.settle() + w.settle(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "no such file") {
			t.Errorf("removed: log: %s", log)
		}
		w.expect(before)
		w.write(chainText(good), keyText(t, key))
		if log := w.settle(); !strings.Contains(log, "TLS certificate replaced") {
			t.Errorf("log: %s", log)
		}
		w.expect(good)
	})
}

// Reload does not wait until the files have settled.
func TestReload(t *testing.T) {
	watch(t, func(w *watched) {
		time.Sleep(lookInterval / 2)
		key := newECDSA(t)
		next := certify(t, key, nil)
		w.write(chainText(next), keyText(t, key))
		began := time.Now()
		w.files.Reload()
		synctest.Wait()
		w.expect(next)
		if time.Since(began) != 0 {
			t.Error("it waited")
		}
	})
}

// The log says that a certificate expires soon, and that it has, and again once a day.
func TestExpiryIsAnnounced(t *testing.T) {
	watch(t, func(w *watched) {
		const day = 24 * time.Hour
		end := w.files.current.Load().Leaf.NotAfter
		for _, test := range []struct {
			left time.Duration
			want string
		}{
			{15 * day, ""},
			{14 * day, "expires soon: renew it"},
			{14*day - time.Hour, ""},
			{13 * day, "expires soon: renew it"},
			{time.Second, "expires soon: renew it"},
			{-time.Second, "has expired: clients cannot connect"},
			{-time.Minute, ""},
			{-2 * day, "has expired: clients cannot connect"},
		} {
			w.files.remind(end.Add(-test.left))
			if log := w.log.take(); (log == "") != (test.want == "") || !strings.Contains(log, test.want) {
				t.Errorf("%v before: %s", test.left, log)
			}
		}
	})
}
