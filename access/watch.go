package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rs/zerolog"

	"openmediator/internal/textfile"
)

// lookInterval is how often a list is looked at.
const lookInterval = time.Second / 2

// listFile is an access list that is watched.
type listFile struct {
	*textfile.File
	log zerolog.Logger
}

func openList(path string, log zerolog.Logger) (*listFile, *List, error) {
	file, data, err := textfile.Open(path, MaxListFile)
	var list *List
	if err == nil {
		list, err = ParseList(data)
	}
	if err != nil {
		return nil, nil, wrongList(path, err)
	}
	return &listFile{file, log}, list, nil
}

// wrongList is the sentence for a list that cannot be used.
func wrongList(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf(`access list %s: is not there; "mediator group allow" makes it, or an empty file will do`, path)
	}
	return fmt.Errorf("access list %s: %w", path, cause(err))
}

// look returns a new list if the file has changed and nothing in it is wrong, else nil.
func (f *listFile) look() *List {
	data, changed, err := f.Look()
	switch {
	case err != nil:
		f.log.Error().Str("cause", err.Error()).Msg("access list cannot be read: what it held stays in force")
		return nil
	case !changed:
		return nil
	}
	list, err := ParseList(data)
	if err != nil {
		f.log.Error().Str("cause", err.Error()).Msg("access list is refused: what it held before stays in force")
		return nil
	}
	return list
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
