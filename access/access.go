package access

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
)

// Mode says who may use a server besides those that a list allows.
type Mode uint8

const (
	Open   Mode = iota // everybody
	Known              // nobody
	Invite             // groups that have a device slot, and one new group per invitation
)

var modeNames = [...]string{"open", "known", "invite"}

func (m Mode) String() string { return modeNames[m] }

// ParseMode returns the mode with this name.
func ParseMode(name string) (Mode, error) {
	for i, n := range modeNames {
		if n == name {
			return Mode(i), nil
		}
	}
	return 0, fmt.Errorf("access: %q is not one of open, known, invite", name)
}

// sweepInterval is between two looks for invitations that have expired.
const sweepInterval = time.Hour

// Options say what an Access decides by.
type Options struct {
	Mode        Mode
	List        string // path of the list, or empty
	Invitations string // directory, which need not exist
	Log         zerolog.Logger
}

// Access decides which groups a server accepts. Its methods may be called from any goroutine.
type Access struct {
	// fixed
	options     Options
	invitations *Invitations
	file        *listFile // nil without a list

	list atomic.Pointer[List]
}

// New reads the list. The error is one sentence for the operator.
func New(options Options) (*Access, error) {
	a := &Access{options: options, invitations: NewInvitations(options.Invitations)}
	a.list.Store(&List{})
	if options.List != "" {
		file, list, err := openList(options.List, options.Log)
		if err != nil {
			return nil, err
		}
		a.file = file
		a.list.Store(list)
	}
	return a, nil
}

// Watch starts to look for changes of the list, and for invitations that have expired, until stop is called. changed is
// called by a goroutine of the Access when another list is in force.
func (a *Access) Watch(changed func()) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		a.watch(changed, end)
	}()
	return func() {
		close(end)
		<-done
	}
}

// Mode returns the mode.
func (a *Access) Mode() Mode { return a.options.Mode }

// List returns the list that is in force; an empty one if there is none.
func (a *Access) List() *List { return a.list.Load() }

// Invitations returns the invitations.
func (a *Access) Invitations() *Invitations { return a.invitations }

// Admit says whether a device of a group may register. The device has proved to hold the group's key. stored says that the
// group has a device slot; path is that of the device's URL. If the path has the code of an invitation that the group
// needs, the invitation is the group's from now on, durably. An error means that this is not known: the disk failed.
func (a *Access) Admit(group d2m.GroupID, stored bool, path string) (bool, error) {
	list := a.list.Load()
	switch {
	case list.Denied(group):
		return false, nil
	case a.options.Mode == Open, list.Allowed(group):
		return true, nil
	case a.options.Mode == Known:
		return false, nil
	case stored:
		return true, nil
	}
	code, ok := CodeInPath(path)
	if !ok {
		return false, nil
	}
	return a.invitations.Use(code, group, time.Now())
}

// Permits says whether a group that has a device slot may use the server.
func (a *Access) Permits(group d2m.GroupID) bool {
	list := a.list.Load()
	return !list.Denied(group) && (a.options.Mode != Known || list.Allowed(group))
}

// Joined notes that a group which Admit has let in has its first device slot, durably: it needs its invitation no more.
func (a *Access) Joined(group d2m.GroupID, path string) {
	if code, ok := CodeInPath(path); ok && a.options.Mode == Invite {
		a.invitations.settle(code, group)
	}
}

func (a *Access) watch(changed func(), end <-chan struct{}) {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	a.sweep()
	swept := time.Now()
	for {
		select {
		case <-end:
			return
		case <-look.C:
			a.look(changed)
		}
		if time.Since(swept) >= sweepInterval {
			a.sweep()
			swept = time.Now()
		}
	}
}

func (a *Access) look(changed func()) {
	if a.file == nil {
		return
	}
	if list := a.file.look(); list != nil {
		a.list.Store(list)
		changed()
		a.options.Log.Info().Msg("access list was read again")
	}
}

// sweep removes invitations that have expired, in every mode.
func (a *Access) sweep() {
	if err := a.invitations.Sweep(time.Now()); err != nil {
		a.options.Log.Warn().Str("cause", cause(err).Error()).Msg("expired invitations cannot be removed")
	}
}
