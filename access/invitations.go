package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/internal/durable"
)

const (
	// MaxInvitations is how many invitations there may be at once.
	MaxInvitations = 10_000

	idSize = 8 // bytes of the code's hash in the name of a file

	// maxInvitationFile is more than the content of a file has, bytes.
	maxInvitationFile = 256

	// unreadableAfter is when a file is removed that makes no sense: its writing was cut short by a crash.
	unreadableAfter = time.Hour
)

// Invitations is a directory of invitations. Its methods may be called from any goroutine, and the directory used by
// several processes, of which one at a time calls Use.
type Invitations struct {
	// fixed
	dir     string
	max     int
	syncDir func(dir string) error

	mu sync.Mutex // held by Use, so that of two groups with one code one is told
}

// NewInvitations returns the invitations in a directory, which Create makes.
func NewInvitations(dir string) *Invitations {
	return &Invitations{dir: dir, max: MaxInvitations, syncDir: durable.SyncDirectory}
}

// Invitation is what can be known of one without its code.
type Invitation struct {
	ID      string    // name of its file, up to a dot: 16 hexadecimal digits
	Expires time.Time // to the second
	Used    bool      // a group has come with the code, and has no device slot yet
}

// Create makes an invitation and returns its code, which nobody can find out later. The directory above must exist; what is
// made belongs to its owner. Invitations that have expired are removed.
func (v *Invitations) Create(expires, now time.Time) (Code, error) {
	if err := v.makeDirectory(); err != nil {
		return "", err
	}
	if err := v.Sweep(now); err != nil {
		return "", err
	}
	all, err := v.List()
	if err != nil {
		return "", err
	}
	if len(all) >= v.max {
		return "", fmt.Errorf("invitations: there are %d already, which is as many as there may be; revoke some", len(all))
	}
	code := newCode()
	hash := code.hash()
	content := fmt.Sprintf("%x %s\n", hash, expires.UTC().Format(time.RFC3339))
	path := v.free(code)
	if err = v.write(path, content); err == nil {
		err = v.syncDir(v.dir)
	}
	if err != nil {
		_ = os.Remove(path) // nobody is told the code
		return "", fmt.Errorf("invitations: none can be made in %s: %w", v.dir, cause(err))
	}
	return code, nil
}

// makeDirectory makes the directory, with mode 0700 and the owner of the one above.
func (v *Invitations) makeDirectory() error {
	above, err := os.Stat(filepath.Dir(v.dir))
	if err != nil {
		return err
	}
	err = os.Mkdir(v.dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	giveLike(v.dir, above)
	if err := os.Chmod(v.dir, 0o700); err != nil { // the umask may have taken from it
		return err
	}
	return v.syncDir(filepath.Dir(v.dir))
}

// write makes a file with mode 0600 and the owner of the directory.
func (v *Invitations) write(path, content string) error {
	dir, err := os.Stat(v.dir)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	giveLike(path, dir)
	_, err = io.WriteString(file, content)
	return errors.Join(err, file.Chmod(0o600), file.Sync(), file.Close())
}

// free is the path of an invitation that no group is bound to.
func (v *Invitations) free(code Code) string { return filepath.Join(v.dir, code.ID()) }

// bound is its path when a group is.
func (v *Invitations) bound(code Code, group d2m.GroupID) string {
	return v.free(code) + "." + code.binding(group)
}

// Use binds the invitation with a code to a group, durably, and reports whether the group is invited: the invitation has not
// expired, and no other group is bound to it. A group may use its invitation again. An error means that this is not known;
// it names no file.
func (v *Invitations) Use(code Code, group d2m.GroupID, now time.Time) (bool, error) {
	hash := code.hash()
	bound := v.bound(code, group)
	v.mu.Lock()
	defer v.mu.Unlock()
	valid, err := isValid(bound, hash, now)
	if err == nil && !valid {
		if valid, err = isValid(v.free(code), hash, now); valid {
			err = os.Rename(v.free(code), bound)
		}
	}
	if err == nil && valid {
		err = v.syncDir(v.dir) // if the group was bound before, too: the server may have been killed before this
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // removed since it was read
	}
	return valid && err == nil, cause(err)
}

// settle removes an invitation that a group was bound to and needs no more. If a crash brings it back, or this fails, the
// group has it until it expires.
func (v *Invitations) settle(code Code, group d2m.GroupID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = os.Remove(v.bound(code, group))
}

// isValid says whether the file is an invitation for the code with a hash, and has not expired.
func isValid(path string, hash [sha256.Size]byte, now time.Time) (bool, error) {
	stored, expires, err := readInvitation(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errInvitation):
		return false, nil
	case err != nil:
		return false, err
	}
	return subtle.ConstantTimeCompare(stored, hash[:]) == 1 && now.Before(expires), nil
}

var errInvitation = errors.New("invitation: is none")

// readInvitation returns what stands in a file: the hash of the code, and when it expires.
func readInvitation(path string) (hash []byte, expires time.Time, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, expires, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxInvitationFile))
	if err != nil {
		return nil, expires, err
	}
	digits, date, found := strings.Cut(string(data), " ")
	date, whole := strings.CutSuffix(date, "\n")
	if hash, err = hex.DecodeString(digits); err != nil || len(hash) != sha256.Size || !found || !whole {
		return nil, expires, errInvitation
	}
	if expires, err = time.Parse(time.RFC3339, date); err != nil {
		return nil, expires, errInvitation
	}
	return hash, expires, nil
}

// List returns the invitations there are, expired ones included, in the order of their names.
func (v *Invitations) List() (all []Invitation, err error) {
	err = v.each(func(name string, expires time.Time, err error) error {
		if err == nil {
			id, _, used := strings.Cut(name, ".")
			all = append(all, Invitation{id, expires, used})
		}
		return nil
	})
	return all, err
}

// Sweep removes the invitations that have expired.
func (v *Invitations) Sweep(now time.Time) error {
	return v.each(func(name string, expires time.Time, err error) error {
		path := filepath.Join(v.dir, name)
		if err != nil && !isOlder(path, now.Add(-unreadableAfter)) || err == nil && now.Before(expires) {
			return nil
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func isOlder(path string, than time.Time) bool {
	info, err := os.Lstat(path)
	return err == nil && info.ModTime().Before(than)
}

// Revoke removes the invitation with an id. It reports whether there was one.
func (v *Invitations) Revoke(id string) (found bool, err error) {
	err = v.each(func(name string, _ time.Time, _ error) error {
		if of, _, _ := strings.Cut(name, "."); of != id {
			return nil
		}
		found = true
		return os.Remove(filepath.Join(v.dir, name))
	})
	if err == nil && found {
		err = v.syncDir(v.dir)
	}
	return found, err
}

// each calls do with every file that has the name of an invitation; err is that of reading it. A directory that is not there
// has none.
func (v *Invitations) each(do func(name string, expires time.Time, err error) error) error {
	entries, err := os.ReadDir(v.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if id, _, _ := strings.Cut(entry.Name(), "."); len(id) != 2*idSize {
			continue
		}
		_, expires, err := readInvitation(filepath.Join(v.dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := do(entry.Name(), expires, err); err != nil {
			return err
		}
	}
	return nil
}
