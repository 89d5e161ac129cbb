package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"openmediator/internal/durable"
	"openmediator/reflect/boltstore"
)

// ErrNotEmpty says that there is something in the directory that a backup is to be restored into.
var ErrNotEmpty = errors.New("is not empty")

// maxAhead is how far in the future a backup may have been made.
const maxAhead = 24 * time.Hour

// Restored says what a restore did.
type Restored struct {
	Contents
	Replaced string // the directory that what was there is in; empty if nothing was
}

// restoring is one in progress: it takes what the backup holds into the staging directory.
type restoring struct {
	dir, staging string
	made         time.Time
	store        *boltstore.Import
	step         func(step string) error // for tests
}

// Restore makes what a backup holds the content of a data directory, which is made if it is not there, and which no server may
// use (boltstore.ErrInUse). If there is something in it, the error is ErrNotEmpty, unless replace is set: then that is moved
// to a directory inside, whose name begins with "replaced-". After any error but one of the very last moves the directory is
// what it was.
func Restore(path, dir string, replace bool) (Restored, error) {
	return restore(path, dir, replace, time.Now(), func(string) error { return nil })
}

func restore(path, dir string, replace bool, now time.Time, step func(string) error) (done Restored, err error) {
	if done.Contents, err = CheckFile(path); err != nil {
		return done, err
	}
	if done.Made.After(now.Add(maxAhead)) {
		return done, fmt.Errorf("backup %s: was made at %s, which is in the future: set the clock of this machine right", path, done.Made)
	}
	lock, err := boltstore.Lock(dir)
	if err != nil {
		return done, err
	}
	defer lock.Unlock()
	occupied, err := entriesOf(dir)
	if err != nil {
		return done, err
	}
	if len(occupied) > 0 && !replace {
		return done, fmt.Errorf("data directory %s: %w: it has %s", dir, ErrNotEmpty, occupied[0])
	}
	r := &restoring{dir: dir, staging: filepath.Join(dir, boltstore.StagingName), step: step}
	if err := r.stage(path, now); err != nil {
		r.discard()
		return done, err
	}
	if len(occupied) > 0 {
		if done.Replaced, err = makeUnique(filepath.Join(dir, "replaced-"+now.UTC().Format("20060102T150405Z"))); err != nil {
			r.discard()
			return done, err
		}
	}
	return done, r.publish(done)
}

// CheckFile is Check for a file, which its errors name.
func CheckFile(path string) (contents Contents, err error) {
	file, err := open(path)
	if err != nil {
		return contents, err
	}
	defer file.Close()
	if contents, err = Check(file); err != nil {
		err = fmt.Errorf("backup %s: %w", path, err)
	}
	return contents, err
}

// open opens a backup. What is not a plain file is not waited for.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("backup %s: is not there; name a file that \"mediator backup\" has written", path)
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("backup %s: %w: it is not a plain file", path, ErrNotBackup)
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("backup %s: cannot be read: %w; name a file that this user may read", path, failed.Err)
	}
	return file, err
}

// entriesOf returns what is in a directory beside what every directory may have.
func entriesOf(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		switch name := entry.Name(); {
		case name == boltstore.LockName, name == boltstore.StagingName, name == "lost+found", entry.Type()&fs.ModeSocket != 0:
		default:
			names = append(names, name)
		}
	}
	return names, err
}

// stage makes all of it in the staging directory.
func (r *restoring) stage(path string, now time.Time) error {
	if err := os.RemoveAll(r.staging); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.staging, invitationsDir), 0o700); err != nil {
		return err
	}
	file, err := open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lastKey, err := read(file, r)
	if err != nil {
		return fmt.Errorf("backup %s: %w", path, err)
	}
	if _, err := r.store.Finish(lastKey, r.made, now); err != nil {
		return err
	}
	if err := r.step("staged"); err != nil {
		return err
	}
	return syncTree(r.staging, r.dir)
}

func (r *restoring) info(info Info) (err error) {
	r.made = info.Made
	r.store, err = boltstore.NewImport(r.staging, info.Schema)
	return err
}

func (r *restoring) file(dir, name string, content []byte) error {
	path := filepath.Join(r.staging, dir)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := r.step("file"); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Chmod(0o600), file.Sync(), file.Close())
}

func (r *restoring) piece(piece []byte) error {
	if err := r.step("piece"); err != nil {
		return err
	}
	return r.store.Add(piece)
}

// discard removes what was staged.
func (r *restoring) discard() {
	if r.store != nil {
		r.store.Abort()
	}
	_ = os.RemoveAll(r.staging)
}

// publish moves what was there away, and what was staged to its places. If it does not come to its end, no server starts.
func (r *restoring) publish(done Restored) error {
	names := []string{invitationsDir, boltstore.FileName}
	if done.Keys {
		names = append([]string{keysDir}, names...)
	}
	mark := filepath.Join(r.dir, boltstore.RestoringName)
	if err := errors.Join(os.MkdirAll(mark, 0o700), durable.SyncDirectory(r.dir)); err != nil {
		return err
	}
	if done.Replaced != "" {
		if err := r.moveAway(names, done.Replaced); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := r.step("move " + name); err != nil {
			return err
		}
		err := os.Rename(filepath.Join(r.staging, name), filepath.Join(r.dir, name))
		if err != nil && !(name == keysDir && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	if err := errors.Join(durable.SyncDirectory(r.dir), durable.SyncDirectory(r.staging)); err != nil {
		return err
	}
	if err := r.step("moved"); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(r.staging), os.RemoveAll(mark), durable.SyncDirectory(r.dir))
}

// makeUnique makes a directory that was not there, with a number behind its name if need be: what an earlier restore has
// moved away is never written over.
func makeUnique(path string) (made string, err error) {
	made = path
	for n := 2; ; n++ {
		if err = os.Mkdir(made, 0o700); !errors.Is(err, fs.ErrExist) {
			return made, err
		}
		made = fmt.Sprintf("%s-%d", path, n)
	}
}

// moveAway moves what is to be replaced into a directory.
func (r *restoring) moveAway(names []string, into string) error {
	for _, name := range names {
		err := os.Rename(filepath.Join(r.dir, name), filepath.Join(into, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(durable.SyncDirectory(into), durable.SyncDirectory(r.dir))
}
