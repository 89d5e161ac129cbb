package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"openmediator/reflect/boltstore"
)

// Options say what is to be in a backup.
type Options struct {
	WithoutKeys bool
	Program     string // the version of this program
}

// Write writes a backup of a data directory and the store that is open in it.
func Write(ctx context.Context, to io.Writer, dir string, store *boltstore.Store, options Options) error {
	used, _, err := store.Usage()
	if err != nil {
		return err
	}
	a := newArchive(to)
	info := Info{
		Format: formatVersion, Schema: boltstore.SchemaVersion, Made: time.Now().UTC().Truncate(time.Second),
		Program: options.Program, Keys: !options.WithoutKeys, Bytes: used,
	}
	if err := a.addJSON(headName, info); err != nil {
		return err
	}
	if info.Keys {
		if err := a.addDirectory(dir, keysDir); err != nil {
			return err
		}
	}
	if err := a.addDirectory(dir, invitationsDir); err != nil {
		return err
	}
	pieces := 0
	exported, err := store.Export(ctx, func(piece []byte) error {
		pieces++
		return a.add(fmt.Sprintf(pieceName, pieces), piece)
	})
	if err != nil {
		return err
	}
	if err := a.addJSON(endName, end{exported.LastKey}); err != nil {
		return err
	}
	return a.end()
}

// archive writes the files of a backup.
type archive struct {
	tar *tar.Writer
	sum hash.Hash // of all that was written
}

func newArchive(to io.Writer) *archive {
	sum := sha256.New()
	return &archive{tar.NewWriter(io.MultiWriter(to, sum)), sum}
}

func (a *archive) add(name string, data []byte) error {
	err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o600, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	if _, err := a.tar.Write(data); err != nil {
		return err
	}
	return a.tar.Flush()
}

func (a *archive) addJSON(name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.add(name, fillUp(data))
}

// fillUp adds spaces up to a multiple of the blocks of the archive, so that it has no byte that could be anything.
func fillUp(data []byte) []byte {
	return append(data, bytes.Repeat([]byte(" "), (blockSize-len(data)%blockSize)%blockSize)...)
}

// end adds the checksum and ends the archive.
func (a *archive) end() error {
	if err := a.add(sumName, fillUp(fmt.Appendf(nil, "%x", a.sum.Sum(nil)))); err != nil {
		return err
	}
	return a.tar.Close()
}

// addDirectory adds the files of a directory in the data directory, if it is there. Hidden ones are about to be written.
func (a *archive) addDirectory(data, name string) error {
	entries, err := os.ReadDir(filepath.Join(data, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !isFileName(entry.Name()) {
			continue
		}
		content, err := readFile(filepath.Join(data, name, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // used or replaced since
		}
		if err == nil {
			err = a.add(name+"/"+entry.Name(), content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s: is larger than %d bytes; move it away", path, maxFile)
	}
	return content, err
}
