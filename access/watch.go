package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// pollInterval is how often a list is looked at. A new version is read when two looks in a row have seen it: one that is
// being written is often empty for a moment, which would be a sound list that allows nobody.
const pollInterval = time.Second / 2

// listFile is an access list that is watched.
type listFile struct {
	path    string
	log     zerolog.Logger
	seen    os.FileInfo       // of the version that was read last; nil: none
	found   os.FileInfo       // of the version at the last look; nil: none
	content [sha256.Size]byte // of the version that was read last, in force or refused
	missing bool              // it could not be read
}

func openList(path string, log zerolog.Logger) (*listFile, *List, error) {
	f := &listFile{path: path, log: log}
	data, _, err := readListFile(path)
	var list *List
	if err == nil {
		list, err = ParseList(data)
	}
	if err != nil {
		return nil, nil, wrongList(path, err)
	}
	f.content = sha256.Sum256(data) // seen stays open: it may have been written to at this very moment
	return f, list, nil
}

// wrongList is the sentence for a list that cannot be used.
func wrongList(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf(`access list %s: is not there; "mediator group allow" makes it, or an empty file will do`, path)
	}
	return fmt.Errorf("access list %s: %w", path, cause(err))
}

// poll returns a new list if the file has changed, and has not since the last look, and nothing in it is wrong; else nil.
func (f *listFile) poll() *List {
	info, err := os.Stat(f.path)
	if err != nil {
		f.found = nil
		f.unreadable(err)
		return nil
	}
	settled := isSame(f.found, info)
	f.found = info
	if !settled || isSame(f.seen, info) {
		return nil
	}
	data, info, err := readListFile(f.path)
	if err != nil {
		f.unreadable(err)
		return nil
	}
	f.missing, f.seen = false, info
	content := sha256.Sum256(data)
	if content == f.content {
		return nil
	}
	f.content = content
	list, err := ParseList(data)
	if err != nil {
		f.log.Error().Str("cause", err.Error()).Msg("access list is refused: what it held before stays in force")
		return nil
	}
	return list
}

// unreadable logs that the file cannot be read, once until it can.
func (f *listFile) unreadable(err error) {
	f.seen = nil
	if !f.missing {
		f.missing = true
		f.log.Error().Str("cause", cause(err).Error()).Msg("access list cannot be read: what it held stays in force")
	}
}

// isSame tells whether two looks saw the same version. a may be nil.
func isSame(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func readListFile(path string) ([]byte, os.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a file")
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxListFile+1))
	return data, info, err
}

// cause strips the path from an error of package os.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}
