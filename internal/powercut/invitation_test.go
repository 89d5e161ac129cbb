//go:build integration

package powercut

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"openmediator/access"
	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/serverprocess"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// invited is a recording of a server that lets in whom it was told to: it makes its data directory, a command makes an invitation,
// and a group comes with that.
type invited struct {
	root         string
	code         access.Code
	first, other d2m.GroupID // the one that is let in, and one that comes too late
	made         int         // line of the trace on which the code was printed
	info         []byte      // what the first device was told when it was registered
	told         int         // line on which it was
	*Recording
}

// TestB6_PowerCutOfAnInvitation ends the server at each of its system calls, and cuts its power there, while a group uses an
// invitation: wherever that is, the group that came first gets in, or has its slot, and no second one ever gets in.
func TestB6_PowerCutOfAnInvitation(t *testing.T) {
	t.Setenv("MEDIATOR_ACCESS", "invite")
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := folder(t)
	r := &invited{root: root, Recording: NewRecording(root)}
	r.serve(t, binary, func(context.Context, string) {})
	r.invite(t, binary)
	r.serve(t, binary, r.register(t))
	i := slices.IndexFunc(r.Outputs, func(o Output) bool { return bytes.Contains(o.Data, r.info) })
	if i < 0 {
		t.Fatal("the trace does not show that a device was registered")
	}
	r.told = r.Outputs[i].Line
	replayWhole(t, r.Recording, r.verdict)
}

func (r *invited) data(root string) string { return filepath.Join(root, DataName) }

// serve records a server from its start to its end.
func (r *invited) serve(t *testing.T, binary string, do func(ctx context.Context, address string)) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "trace")
	command := append([]string{"strace", "-D"}, Strace(log)[1:]...)
	process, err := serverprocess.Start(serverprocess.AnyPort, r.data(r.root), append(command, binary)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	address, err := process.AwaitReady(ctx)
	if err != nil {
		t.Fatal(err)
	}
	do(ctx, address)
	if err := process.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.AddFile(log, func(o Output) bool { return o.Descriptor > 2 }); err != nil {
		t.Fatal(err)
	}
}

// invite records the command.
func (r *invited) invite(t *testing.T, binary string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "trace")
	command := append(Strace(log), binary, "invite", "--json", "--data", r.data(r.root))
	process := exec.Command(command[0], command[1:]...)
	process.Env = append(os.Environ(), "MEDIATOR_CONFIG=")
	output, err := process.Output()
	var printed struct{ Code access.Code }
	if err := errors.Join(err, json.Unmarshal(output, &printed)); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	r.code = printed.Code
	if err := r.AddFile(log, func(o Output) bool { return o.Descriptor == 1 }); err != nil {
		t.Fatal(err)
	}
	r.made = r.Outputs[len(r.Outputs)-1].Line
}

// register has a device of one group register, and one of another fail, with the code.
func (r *invited) register(t *testing.T) func(ctx context.Context, address string) {
	return func(ctx context.Context, address string) {
		login := func(seed byte) (group d2m.GroupID, ended error) {
			keys, err := devicekeys.FromGroupKey([32]byte{seed})
			if err != nil {
				t.Fatal(err)
			}
			url, err := client.URL(address+"/"+r.code.Path(), keys.GroupID(), "0")
			if err != nil {
				t.Fatal(err)
			}
			wire, err := client.Dialer{}.Dial(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			defer wire.CloseNow()
			info, ended := wire.Login(ctx, keys, d2m.ClientHello{DeviceID: sender, Expiration: d2m.Persistent})
			if ended == nil {
				r.info = info.Append(nil)
			}
			return keys.GroupID(), ended
		}
		var err error
		if r.first, err = login(7); err != nil {
			t.Fatal(err)
		}
		var end *client.CloseError
		if r.other, err = login(8); !errors.As(err, &end) || end.Code != d2m.CloseProtocolError {
			t.Fatalf("a second group with one code: %v", err)
		}
	}
}

// verdict lets the group come again, and the other one before it or behind it.
func (r *invited) verdict(root string, line int) error {
	if line < r.made {
		return nil // nobody has the code
	}
	store, err := boltstore.Open(r.data(root), boltstore.Options{})
	if err != nil {
		return err
	}
	stored := make(map[d2m.GroupID]bool)
	err = store.Groups(func(group d2m.GroupID, state []byte) error {
		s, err := reflect.ParseState(state)
		stored[group] = len(s.Slots) > 0
		return err
	})
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	if stored[r.other] || !stored[r.first] && line >= r.told {
		return fmt.Errorf("stored: %v", stored)
	}
	copied := filepath.Join(root, "copied")
	original := filepath.Join(r.data(root), "invitations")
	if err := os.CopyFS(copied, os.DirFS(original)); err != nil {
		return err
	}
	for dir, order := range map[string][]d2m.GroupID{original: {r.first, r.other}, copied: {r.other, r.first}} {
		admitted, err := r.admitted(dir, stored, order)
		if err != nil {
			return err
		}
		if len(admitted) != 1 || dir == original && admitted[0] != r.first {
			return fmt.Errorf("of the groups %.4x one after the other, of which %v is stored, the server lets in %.4x", order, stored[r.first], admitted)
		}
	}
	return nil
}

// admitted returns which of some groups a server lets in that come one after the other, and those that have a slot.
func (r *invited) admitted(invitations string, stored map[d2m.GroupID]bool, order []d2m.GroupID) (in []d2m.GroupID, err error) {
	who, err := access.New(access.Options{Mode: access.Invite, Invitations: invitations, Log: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	for _, group := range order {
		ok, err := who.Admit(group, stored[group], "/"+r.code.Path()+"/")
		if err != nil {
			return nil, err
		}
		if ok {
			in = append(in, group)
		}
	}
	return in, nil
}
