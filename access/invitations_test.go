package access

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func newTestInvitations(t testing.TB) (v *Invitations, now time.Time) {
	return NewInvitations(filepath.Join(t.TempDir(), "invitations")), time.Now()
}

func create(t testing.TB, v *Invitations, now time.Time) Code {
	t.Helper()
	code, err := v.Create(now.Add(time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// use fails unless it is answered like this.
func use(t testing.TB, v *Invitations, code Code, n byte, now time.Time, want bool) {
	t.Helper()
	if invited, err := v.Use(code, group(n), now); err != nil || invited != want {
		t.Errorf("group %d: invited: %v, %v; want %v", n, invited, err, want)
	}
}

// files returns the names of the files, and fails if one holds what must not be on the disk.
func files(t testing.TB, v *Invitations, secrets ...string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(v.dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(entry.Name()+string(data), secret) {
				t.Errorf("file %s holds %s", entry.Name(), secret)
			}
		}
		if info, _ := entry.Info(); info.Mode() != 0o600 {
			t.Errorf("file %s has mode %v", entry.Name(), info.Mode())
		}
		names = append(names, entry.Name())
	}
	return names
}

func TestInvitationIsForOneGroup(t *testing.T) {
	v, now := newTestInvitations(t)
	code := create(t, v, now)
	use(t, v, newCode(), 1, now, false)
	use(t, v, code[:25], 1, now, false)
	use(t, v, code, 1, now, true)
	use(t, v, code, 1, now, true) // its ServerInfo may not have arrived
	use(t, v, code, 2, now, false)
	first, second := group(1), group(2)
	files(t, v, string(code), string(first[:]), string(second[:]), idOf(1)[:16], idOf(2)[:16])
	v.settle(code, group(2))
	use(t, v, code, 1, now, true)
	v.settle(code, group(1))
	use(t, v, code, 1, now, false)
	use(t, v, code, 2, now, false)
	if names := files(t, v); len(names) != 0 {
		t.Errorf("left over: %v", names)
	}
}

func TestInvitationExpires(t *testing.T) {
	v, now := newTestInvitations(t)
	code, bound := create(t, v, now), create(t, v, now)
	use(t, v, bound, 1, now, true)
	use(t, v, code, 2, now.Add(time.Hour-time.Second), true)
	use(t, v, code, 2, now.Add(time.Hour), false)
	use(t, v, bound, 1, now.Add(time.Hour), false)
	if all, err := v.List(); err != nil || len(all) != 2 || !all[0].Used || all[0].Expires.Sub(now).Round(time.Hour) != time.Hour {
		t.Errorf("list: %v, %v", all, err)
	}
	if err := v.Sweep(now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if names := files(t, v); len(names) != 0 {
		t.Errorf("left over: %v", names)
	}
}

// Of many groups with one code, in any number of goroutines, exactly one is invited.
func TestInvitationRace(t *testing.T) {
	for range 20 {
		v, now := newTestInvitations(t)
		code := create(t, v, now)
		var mu sync.Mutex
		invited := make(map[byte]int)
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range byte(24) {
			others := NewInvitations(v.dir) // as if each were a process of its own: the disk decides
			all.Go(func() {
				<-start
				ok, err := others.Use(code, group(i%8+1), now)
				if err != nil {
					t.Error(err)
				}
				if ok {
					mu.Lock()
					invited[i%8]++
					mu.Unlock()
				}
			})
		}
		close(start)
		all.Wait()
		if len(invited) != 1 {
			t.Fatalf("invited: %v", invited)
		}
		if all, err := v.List(); err != nil || len(all) != 1 {
			t.Fatalf("list: %v, %v", all, err)
		}
	}
}

// The server dies between the rename and the end of the sync, or the sync fails: the group is not let in; it is when it
// comes again, and nobody else ever is.
func TestInvitationAfterACrash(t *testing.T) {
	v, now := newTestInvitations(t)
	code := create(t, v, now)
	broken := errors.New("input/output error")
	synced := 0
	v.syncDir = func(string) error { synced++; return broken }
	if invited, err := v.Use(code, group(1), now); invited || !errors.Is(err, broken) {
		t.Errorf("invited: %v, %v", invited, err)
	}
	again := NewInvitations(v.dir)
	again.syncDir = func(string) error { synced++; return nil }
	use(t, again, code, 2, now, false)
	use(t, again, code, 1, now, true)
	if synced != 2 {
		t.Errorf("synced %d times, want once before each answer that would have let somebody in", synced)
	}
}

// What an operator, a full disk or a crash may leave in the directory lets nobody in and is no error.
func TestInvitationFilesThatAreNone(t *testing.T) {
	v, now := newTestInvitations(t)
	code := create(t, v, now)
	path := v.free(code)
	good := read(t, path)
	for _, text := range []string{
		"", "\n", " ", good[:len(good)-1], good[1:], "x" + good[1:], strings.Replace(good, " ", "", 1),
		good[:65] + "tomorrow\n", good[:63] + " " + good[65:], strings.Repeat("0", 64) + good[64:], good + good,
		strings.Repeat("a", 1<<16),
	} {
		write(t, path, text, 0o600)
		use(t, v, code, 1, now, false)
	}
	if err := v.Sweep(now); err != nil || len(files(t, v)) != 1 {
		t.Error("a file was removed that may be being written", err)
	}
	write(t, filepath.Join(v.dir, "README"), "not ours", 0o600)
	if err := v.Sweep(now.Add(2 * unreadableAfter)); err != nil || len(files(t, v)) != 1 {
		t.Error("what makes no sense stays for ever, or somebody else's file does not", err)
	}
}

func TestInvitationsThatCannotBeRead(t *testing.T) {
	v, now := newTestInvitations(t)
	code := create(t, v, now)
	path := v.free(code)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if invited, err := v.Use(code, group(1), now); invited || err == nil {
		t.Errorf("invited: %v, %v; want an error", invited, err)
	} else if strings.Contains(err.Error(), string(code)) || strings.Contains(err.Error(), v.dir) {
		t.Errorf("error says too much: %v", err)
	}
}

func TestInvitationsMade(t *testing.T) {
	v, now := newTestInvitations(t)
	use(t, v, newCode(), 1, now, false)
	if all, err := v.List(); err != nil || len(all) != 0 {
		t.Errorf("list: %v, %v", all, err)
	}
	expired, err := v.Create(now.Add(-time.Second), now)
	if err != nil {
		t.Fatal(err)
	}
	code := create(t, v, now)
	if _, err := os.Stat(v.free(expired)); !errors.Is(err, os.ErrNotExist) {
		t.Error("an expired invitation is still there")
	}
	if info, err := os.Stat(v.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	if found, err := v.Revoke("0123456789abcdef"); found || err != nil {
		t.Errorf("revoked: %v, %v", found, err)
	}
	if found, err := v.Revoke(code.ID()); !found || err != nil {
		t.Errorf("revoked: %v, %v", found, err)
	}
	use(t, v, code, 1, now, false)
	if _, err := NewInvitations(filepath.Join(v.dir, "not", "there")).Create(now, now); err == nil {
		t.Error("made below a directory that is not there")
	}
}

// An invitation that may not be on the disk is none, and takes no room from others.
func TestInvitationThatCannotBeMade(t *testing.T) {
	v, now := newTestInvitations(t)
	create(t, v, now)
	v.syncDir = func(string) error { return &os.PathError{Op: "sync", Path: v.dir, Err: syscall.ENOSPC} }
	code, err := v.Create(now.Add(time.Hour), now)
	if code != "" || !errors.Is(err, syscall.ENOSPC) || err.Error() != "invitations: none can be made in "+v.dir+": no space left on device" {
		t.Errorf("%q, %v", code, err)
	}
	if names := files(t, v); len(names) != 1 {
		t.Errorf("left over: %v", names)
	}
}

func TestInvitationsAreBounded(t *testing.T) {
	v, now := newTestInvitations(t)
	v.max = 3
	for range v.max {
		create(t, v, now)
	}
	if _, err := v.Create(now.Add(time.Hour), now); err == nil || !strings.Contains(err.Error(), "revoke some") {
		t.Error(err)
	}
}

// FuzzInvitations: whatever lies in the directory, and whatever is to be revoked, an invitation is good for one group until it is
// revoked itself, no other code is good, and no file elsewhere is touched.
func FuzzInvitations(f *testing.F) {
	hash := strings.Repeat("0123456789abcdef", 4)
	for _, content := range []string{"", hash + " 2999-01-01T00:00:00Z\n", hash + " 1999-01-01T00:00:00Z\n", hash + " \n", "x"} {
		f.Add(hash[:16], content, hash[:16])
		f.Add(hash[:16]+".0123", content, "../outside")
		f.Add(strings.Repeat(".", 16), content, "")
	}
	f.Fuzz(func(t *testing.T, name, content, id string) {
		v, now := newTestInvitations(t)
		code := create(t, v, now)
		outside, path := filepath.Join(filepath.Dir(v.dir), "outside"), filepath.Join(v.dir, name)
		if filepath.Dir(path) != v.dir || path == v.free(code) || os.WriteFile(path, []byte(content), 0o600) != nil {
			return
		}
		write(t, outside, "mine", 0o600)
		all, err := v.List()
		swept := v.Sweep(now)
		found, revoked := v.Revoke(id)
		if err := errors.Join(err, swept, revoked); err != nil || len(all) == 0 || len(all) > 2 {
			t.Errorf("%v, %v", all, err)
		}
		use(t, v, newCode(), 1, now, false)
		use(t, v, code, 1, now, !found || id != code.ID())
		use(t, v, code, 2, now, false)
		if read(t, outside) != "mine" {
			t.Error("another file was changed")
		}
	})
}
