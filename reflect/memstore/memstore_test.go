package memstore

import (
	"errors"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/reflect/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) (reflect.Store, func() reflect.Store) {
		s := New()
		return s, func() reflect.Store {
			s.Close()
			s = s.Clone()
			return s
		}
	})
}

var group, other = d2m.GroupID{1}, d2m.GroupID{2}

func claim(t *testing.T, s *Store, group d2m.GroupID) *reflect.Snapshot {
	t.Helper()
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return snapshot
}

func write(s *Store, group d2m.GroupID, epoch reflect.Epoch, state string) error {
	return s.Commit([]*reflect.Batch{{Group: group, Epoch: epoch, State: []byte(state)}})[0]
}

func wantState(t *testing.T, s *Store, group d2m.GroupID, want string) reflect.Epoch {
	t.Helper()
	snapshot := claim(t, s, group)
	if string(snapshot.State) != want {
		t.Fatalf("state is %q, want %q", snapshot.State, want)
	}
	return snapshot.Epoch
}

// failOnce makes the next operation of a kind on a group fail.
func failOnce(s *Store, op Op, group d2m.GroupID, err error) {
	failed := false
	s.Fail(func(o Op, g d2m.GroupID) error {
		if failed || o != op || g != group {
			return nil
		}
		failed = true
		return err
	})
}

func TestB43_InjectedUnavailable(t *testing.T) {
	operations := map[string]func(s *Store, epoch reflect.Epoch) error{
		"claim":  func(s *Store, _ reflect.Epoch) error { _, err := s.Claim(group); return err },
		"commit": func(s *Store, epoch reflect.Epoch) error { return write(s, group, epoch, "new") },
		"read":   func(s *Store, epoch reflect.Epoch) error { return s.Read(group, epoch, nil, nil) },
		"groups": func(s *Store, _ reflect.Epoch) error { return s.Groups(func(d2m.GroupID, []byte) error { return nil }) },
		"usage":  func(s *Store, _ reflect.Epoch) error { _, _, err := s.Usage(); return err },
	}
	ops := map[string]Op{"claim": OpClaim, "commit": OpCommit, "read": OpRead, "groups": OpGroups, "usage": OpUsage}
	for name, operation := range operations {
		for _, injected := range []error{reflect.ErrUnavailable, ErrUnavailableStored} {
			s := New()
			epoch, bystander := claim(t, s, group).Epoch, claim(t, s, other).Epoch
			if err := errors.Join(write(s, group, epoch, "old"), write(s, other, bystander, "other")); err != nil {
				t.Fatal(err)
			}
			at := group
			if ops[name] >= OpGroups {
				at = d2m.GroupID{}
			}
			failOnce(s, ops[name], at, injected)
			if err := operation(s, epoch); !errors.Is(err, reflect.ErrUnavailable) {
				t.Fatalf("%s: %v", name, err)
			}
			for _, err := range []error{write(s, group, epoch, "late"), write(s, other, bystander, "late"), s.Read(group, epoch, nil, nil)} {
				if err != reflect.ErrUnavailable {
					t.Fatalf("%s: a claim is in force after it: %v", name, err)
				}
			}
			want := "old"
			if name == "commit" && injected == ErrUnavailableStored {
				want = "new"
			}
			if later := wantState(t, s, group, want); later <= bystander {
				t.Fatalf("%s: epoch %d follows %d", name, later, bystander)
			}
			wantState(t, s, other, "other")
		}
	}
}

func TestInjectedFenced(t *testing.T) {
	for op, operation := range map[Op]func(s *Store, epoch reflect.Epoch) error{
		OpCommit: func(s *Store, epoch reflect.Epoch) error { return write(s, group, epoch, "new") },
		OpRead:   func(s *Store, epoch reflect.Epoch) error { return s.Read(group, epoch, nil, nil) },
	} {
		s := New()
		epoch, bystander := claim(t, s, group).Epoch, claim(t, s, other).Epoch
		failOnce(s, op, group, reflect.ErrFenced)
		if err := operation(s, epoch); err != reflect.ErrFenced {
			t.Fatalf("operation %d: %v", op, err)
		}
		if err := write(s, group, epoch, "late"); err != reflect.ErrFenced {
			t.Fatalf("a fenced claim is in force: %v", err)
		}
		if err := write(s, other, bystander, "other"); err != nil {
			t.Fatalf("the claim of another group has ended: %v", err)
		}
		wantState(t, s, group, "")
	}
}

// One call of Commit is one transaction: what fails, fails for all, and what is fenced is so by itself.
func TestInjectedMixture(t *testing.T) {
	third := d2m.GroupID{3}
	for _, injected := range []error{nil, reflect.ErrUnavailable, ErrUnavailableStored} {
		s := New()
		var batches []*reflect.Batch
		for _, g := range []d2m.GroupID{group, other, third} {
			batches = append(batches, &reflect.Batch{Group: g, Epoch: claim(t, s, g).Epoch, State: []byte("new")})
		}
		s.Fail(func(op Op, g d2m.GroupID) error {
			switch {
			case op == OpCommit && g == group:
				return reflect.ErrFenced
			case op == OpCommit && g == third:
				return injected
			}
			return nil
		})
		results := s.Commit(batches)
		s.Fail(nil)
		if results[0] != reflect.ErrFenced || results[1] != injected || results[2] != injected {
			t.Fatalf("Commit: %v, want fenced and twice %v", results, injected)
		}
		want := "new"
		if injected == reflect.ErrUnavailable {
			want = ""
		}
		wantState(t, s, group, "")
		wantState(t, s, other, want)
		wantState(t, s, third, want)
	}
}

func TestClone(t *testing.T) {
	s := New()
	epoch := claim(t, s, group).Epoch
	if err := write(s, group, epoch, "old"); err != nil {
		t.Fatal(err)
	}
	clone := s.Clone()
	if err := write(clone, group, epoch, "never"); err != reflect.ErrFenced {
		t.Fatalf("a clone knows a claim: %v", err)
	}
	if err := write(s, group, epoch, "new"); err != nil {
		t.Fatal(err)
	}
	wantState(t, clone, group, "old")
	wantState(t, s, group, "new")
}
