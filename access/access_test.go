package access

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns an Access with a list, in a directory of its own.
func open(t testing.TB, mode Mode, list string) (a *Access, options Options, log *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	log = new(bytes.Buffer)
	options = Options{Mode: mode, List: filepath.Join(dir, "list"), Invitations: filepath.Join(dir, "invitations")}
	options.Log = zerolog.New(log)
	write(t, options.List, list, 0o600)
	a, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return a, options, log
}

// TestAdmit has a row for each combination that the package documentation speaks of.
func TestAdmit(t *testing.T) {
	const allowed, denied, other = 1, 2, 3
	for _, row := range []struct {
		mode          Mode
		group         byte
		stored        bool
		code          bool
		admit, permit bool
	}{
		{Open, allowed, false, false, true, true},
		{Open, other, false, false, true, true},
		{Open, denied, false, false, false, false},
		{Open, denied, true, true, false, false},

		{Known, allowed, false, false, true, true},
		{Known, allowed, true, false, true, true},
		{Known, other, false, false, false, false},
		{Known, other, true, false, false, false},
		{Known, other, false, true, false, false},
		{Known, denied, true, true, false, false},

		{Invite, allowed, false, false, true, true},
		{Invite, other, false, false, false, true},
		{Invite, other, true, false, true, true},
		{Invite, other, true, true, true, true},
		{Invite, other, false, true, true, true},
		{Invite, denied, true, false, false, false},
		{Invite, denied, false, true, false, false},
	} {
		a, _, _ := open(t, row.mode, idOf(allowed)+"\ndeny "+idOf(denied))
		path := "/i/" + strings.Repeat("a", CodeSize) + "/"
		code := create(t, a.Invitations(), time.Now())
		if row.code {
			path = "/x/" + code.Path() + "/"
		}
		got, err := a.Admit(group(row.group), row.stored, path)
		if err != nil || got != row.admit {
			t.Errorf("%v, group %d, stored %v, code %v: admitted: %v, %v", row.mode, row.group, row.stored, row.code, got, err)
		}
		if got := a.Permits(group(row.group)); got != row.permit {
			t.Errorf("%v, group %d: permitted: %v", row.mode, row.group, got)
		}
		// The code is used up only by a group that needed it and got in.
		all, _ := a.Invitations().List()
		needed := row.mode == Invite && row.code && !row.stored && row.group == other
		if all[0].Used != needed {
			t.Errorf("%v, group %d, stored %v: code used: %v", row.mode, row.group, row.stored, all[0].Used)
		}
		a.Joined(group(row.group), path)
		if all, _ = a.Invitations().List(); (len(all) == 0) != needed {
			t.Errorf("%v, group %d, stored %v: invitations left when it has joined: %v", row.mode, row.group, row.stored, all)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "broken"), "# good\nnonsense\n", 0o600)
	write(t, filepath.Join(dir, "large"), strings.Repeat("#", MaxListFile+1), 0o600)
	for name, want := range map[string]string{"none": `"mediator group allow" makes it`, "broken": "line 2: its group id", ".": "it is a directory", "large": "more than 16777216 bytes"} {
		path := filepath.Join(dir, name)
		_, err := New(Options{Mode: Known, List: path})
		if err == nil || !strings.Contains(err.Error(), "access list "+path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// In fake time: an edited list is in force after two looks; a broken one, or none, never is, and the log says so once and
// names nobody.
func TestListIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, options, log := open(t, Known, idOf(1))
		changed := 0
		stop := a.Watch(func() { changed++ })
		defer stop()
		step := func(what string, second, third bool, changes int) {
			t.Helper()
			time.Sleep(5 * lookInterval)
			synctest.Wait()
			if a.Permits(group(2)) != second || a.Permits(group(3)) != third || changed != changes {
				t.Errorf("%s: permitted: %v, %v; %d changes, want %d", what, a.Permits(group(2)), a.Permits(group(3)), changed, changes)
			}
		}
		step("nothing", false, false, 0)
		write(t, options.List, idOf(2), 0o600)
		time.Sleep(lookInterval)
		synctest.Wait()
		if a.Permits(group(2)) {
			t.Error("read at the first look: it may be being written")
		}
		step("edited", true, false, 1)
		write(t, options.List, idOf(3)+"\n"+idOf(3), 0o600)
		step("broken", true, false, 1)
		os.Remove(options.List)
		step("removed", true, false, 1)
		write(t, options.List, idOf(2), 0o600)
		step("as it was", true, false, 2)
		if _, err := Edit(options.List, group(3), Allowed); err != nil {
			t.Fatal(err)
		}
		step("edited by command", true, true, 3)
		text := log.String()
		for want, times := range map[string]int{"line 2: its group stands in line 1 already": 1, "cannot be read": 1, "was read again": 3} {
			if got := strings.Count(text, want); got != times {
				t.Errorf("the log says %q %d times, want %d:\n%s", want, got, times, text)
			}
		}
		if strings.Contains(text, idOf(3)[:8]) {
			t.Errorf("the log names a group:\n%s", text)
		}
	})
}

func TestExpiredInvitationsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, options, _ := open(t, Open, "")
		code, err := a.Invitations().Create(time.Now().Add(90*time.Minute), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Watch(func() {})()
		for _, want := range []int{1, 1, 0} {
			synctest.Wait()
			if entries, _ := os.ReadDir(options.Invitations); len(entries) != want {
				t.Errorf("%d invitations, want %d", len(entries), want)
			}
			time.Sleep(sweepInterval + lookInterval)
		}
		use(t, a.Invitations(), code, 1, time.Now(), false)
	})
}

// The list may be replaced while it is asked.
func TestListIsAskedWhileItChanges(t *testing.T) {
	a, _, _ := open(t, Known, idOf(1))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				if ok, err := a.Admit(group(1), true, "/"); !ok || err != nil {
					t.Error(ok, err)
				}
			}
		})
	}
	list, _ := ParseList([]byte(idOf(1) + "\n" + idOf(2)))
	for range 1000 {
		a.list.Store(list)
	}
	all.Wait()
}
