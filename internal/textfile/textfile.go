// Package textfile reads the files that an operator writes while the server runs.
//
// A new version is read when two looks in a row have seen it: one that is being written is often empty for a moment, and an
// empty file may well be a sound one.
package textfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Read returns the content of a file of at most limit bytes, and what was known of it then. The error does not name the path;
// it is fs.ErrNotExist for a file that is not there.
func Read(path string, limit int64) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, cause(err)
	case info.IsDir():
		return nil, nil, errors.New("it is a directory")
	case !info.Mode().IsRegular(): // to open a pipe may take for ever
		return nil, nil, errors.New("it is not a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, cause(err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, nil, cause(err)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, nil, cause(err)
	case int64(len(data)) > limit:
		return nil, nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return data, info, nil
}

// File is a file that is looked at again and again. It is for one goroutine.
type File struct {
	path    string
	limit   int64
	seen    os.FileInfo       // of the version that was read last; nil: none
	found   os.FileInfo       // of the version at the last look; nil: none
	content [sha256.Size]byte // of the version that was read last
	failed  bool              // it could not be read
}

// Open reads a file of at most limit bytes.
func Open(path string, limit int64) (*File, []byte, error) {
	data, _, err := Read(path, limit)
	if err != nil {
		return nil, nil, err
	}
	// seen stays open: the file may have been written to at this very moment.
	return &File{path: path, limit: limit, content: sha256.Sum256(data)}, data, nil
}

// Look returns what the file holds if that is something else than when it was read last, and the file is as the last look
// has found it. That it cannot be read is told once until it can. The caller owns the data.
func (f *File) Look() (data []byte, changed bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.found = nil
		return nil, false, f.fail(err)
	}
	settled := isSame(f.found, info)
	f.found = info
	if !settled || isSame(f.seen, info) {
		return nil, false, nil
	}
	data, info, err = Read(f.path, f.limit)
	if err != nil {
		return nil, false, f.fail(err)
	}
	f.failed, f.seen = false, info
	content := sha256.Sum256(data)
	changed = content != f.content
	f.content = content
	return data, changed, nil
}

func (f *File) fail(err error) error {
	f.seen = nil
	if f.failed {
		return nil
	}
	f.failed = true
	return cause(err)
}

// isSame tells whether two looks saw the same version. a may be nil.
func isSame(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// cause strips the path from an error of package os.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
