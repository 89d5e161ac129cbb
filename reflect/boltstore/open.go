package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"openmediator/d2m"
	"openmediator/internal/durable"
	"openmediator/reflect"
)

// Names in the directory that others need to know.
const (
	FileName = "mediator.db"
	LockName = "mediator.lock"

	// RestoringName is there while what a backup holds is moved to its places (package backup).
	RestoringName = "mediator.restore"

	// StagingName is where a restore makes all that it moves.
	StagingName = RestoringName + ".new"
)

// Names of what stands beside the file while another is made.
const (
	newName     = FileName + ".new"
	compactName = FileName + ".compact"
)

// Why a directory cannot be opened.
var (
	// ErrInUse says that another process has the directory open.
	ErrInUse = errors.New("in use by another server")

	// ErrUnfinished says that what is in the directory may be a part of a backup.
	ErrUnfinished = errors.New("a restore was cut short: do it again, with --replace")
)

// Exists says whether there is a store in a directory, which Open would make otherwise.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, FileName))
	return err == nil
}

// Open opens the store in a directory; both are made if they are not there. What it returns as an error is one sentence
// for the operator that names the directory. It wraps ErrInUse (after half a second of trying), ErrUnfinished, ErrNewer or
// ErrForeign where that is the reason. A file that it refuses has not been touched.
func Open(dir string, options Options) (*Store, error) {
	s, err := open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, plain(err))
	}
	return s, nil
}

func open(dir string, options Options) (s *Store, err error) {
	if err := durable.MakeDirectory(dir); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.release()
		}
	}()
	if err := prepare(dir, options); err != nil {
		return nil, err
	}
	file, held, err := openInspected(dir, options.noSync)
	if err != nil {
		return nil, err
	}
	if held.tree.txid, err = settle(dir, file); err != nil {
		return nil, errors.Join(err, file.close())
	}
	s = &Store{
		dir: dir, options: options, lock: lock,
		compacting: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		file: file, claims: make(map[d2m.GroupID]reflect.Epoch),
	}
	s.turn.L = &s.mu
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.hold(held)
	if options.CompactEvery > 0 {
		s.background.Add(1)
		go s.compactRegularly()
	}
	return s, nil
}

// checkRestored says whether a restore was cut short in a directory that is locked.
func checkRestored(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, RestoringName)); err == nil {
		return ErrUnfinished
	}
	return nil
}

// prepare makes sure that there is a sound file of the present version in a directory.
func prepare(dir string, options Options) error {
	path := filepath.Join(dir, FileName)
	if err := checkRestored(dir); err != nil {
		return err
	}
	_, err := os.Lstat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	version := uint64(schemaVersion)
	if !missing {
		if version, err = inspect(path); err != nil {
			return err
		}
	}
	for _, leftover := range []string{newName, compactName, StagingName} {
		if err := os.RemoveAll(filepath.Join(dir, leftover)); err != nil {
			return err
		}
	}
	switch {
	case missing:
		return create(dir, options.noSync)
	case version < schemaVersion:
		if err := migrate(dir, version, options.step); err != nil {
			return err
		}
		_, err = inspect(path)
	}
	return err
}

// openFile checks the file of a directory from end to end, opens it and reads what is kept in memory of it.
func openFile(dir string, noSync bool) (*boltFile, contents, error) {
	if _, err := inspect(filepath.Join(dir, FileName)); err != nil {
		return nil, contents{}, err
	}
	return openInspected(dir, noSync)
}

func openInspected(dir string, noSync bool) (*boltFile, contents, error) {
	file, err := openBolt(filepath.Join(dir, FileName), false, noSync)
	if err != nil {
		return nil, contents{}, err
	}
	held, err := load(file)
	if err != nil {
		return nil, contents{}, errors.Join(err, file.close())
	}
	return file, held, nil
}

// inspect refuses a file that bbolt must not be let at, or that is not ours, and returns its version. It only reads.
func inspect(path string) (version uint64, err error) {
	file, version, err := openToRead(path)
	if err != nil {
		return version, err
	}
	return version, file.close()
}

// openToRead is inspect that leaves the file open, to be read only.
func openToRead(path string) (file *boltFile, version uint64, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return nil, 0, fmt.Errorf("%w: it is empty", errPages) // bbolt would make a store of it
	}
	if file, err = openBolt(path, true, false); err != nil {
		return nil, 0, err
	}
	var t tree
	err = file.view(func(tx *bbolt.Tx) error {
		t = treeOf(tx)
		return nil
	})
	if err == nil {
		err = walk(file.os, t, nil)
	}
	if err == nil {
		err = file.view(func(tx *bbolt.Tx) error {
			version, err = checkSchema(tx)
			return err
		})
	}
	if err != nil {
		return nil, version, errors.Join(err, file.close())
	}
	return file, version, nil
}

// create makes an empty store in a directory that has none.
func create(dir string, noSync bool) error {
	path := filepath.Join(dir, newName)
	if err := createFile(path); err != nil {
		return err
	}
	file, err := openBolt(path, false, noSync)
	if err != nil {
		return err
	}
	err = file.update(makeSchema, (*bbolt.Tx).Commit)
	if err := errors.Join(err, file.close()); err != nil {
		return err
	}
	return replace(dir)
}

// settle makes durable what a directory shows, before anybody is told of it, and returns the transaction that the file
// shows then. The last server may have been killed before it could sync: its meta page is in the page cache then, and the
// name of a new file in memory. If a sync of it has failed, no later one brings the page to the disk. A transaction of its
// own does, though nothing is in it: it syncs, writes the other meta page, and syncs.
func settle(dir string, file *boltFile) (txid int, err error) {
	err = file.write(func(tx *bbolt.Tx) error {
		txid = tx.ID()
		return nil
	})
	if err == nil {
		err = durable.SyncDirectory(dir)
	}
	if err != nil {
		return 0, err
	}
	err = durable.SyncDirectory(filepath.Dir(filepath.Clean(dir)))
	if errors.Is(err, fs.ErrPermission) {
		err = nil // this one is not the server's: whoever made the data directory in it answers for that
	}
	return txid, err
}

// hold takes over what was read of s.file, which is opened now. s.writing and s.mu are held, or s is new.
func (s *Store) hold(c contents) {
	s.txid, s.pageSize, s.chunks = c.tree.txid, c.tree.pageSize, c.chunks
	s.lastKey = max(s.lastKey, c.lastKey)
	s.removed = c.made // what was deleted since is not known
	s.noteSpace(int64(c.tree.end) * int64(c.tree.pageSize))
}

// plain makes one sentence of what can be wrong with a directory.
func plain(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	var system syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, ErrInUse), errors.Is(err, ErrNewer), errors.Is(err, ErrUnfinished), errors.Is(err, durable.ErrNotDirectory):
		return err
	case errors.As(err, &path), errors.As(err, &link), errors.As(err, &system):
		return err
	}
	return fmt.Errorf("%w (%w); restore a backup or move it away", ErrForeign, err)
}
