package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"openmediator/reflect/boltstore"
)

// Contents is what a backup holds.
type Contents struct {
	Info
	boltstore.Tally
	KeyFiles    int
	Invitations int
}

// Check reads a backup to its end and sees whether it is sound. Damaged states and messages, which were damaged in the store,
// are counted, and are no error. The error wraps ErrNotBackup or ErrNewer, or is one of reading.
func Check(from io.Reader) (Contents, error) {
	c := checker{}
	lastKey, err := read(from, &c)
	if err != nil {
		return c.contents, err
	}
	c.contents.Tally = c.store.Tally()
	if c.store.Above(lastKey) {
		return c.contents, damaged("it holds a chunk with a key that was never given")
	}
	return c.contents, nil
}

// checker counts what is in a backup.
type checker struct {
	contents Contents
	store    boltstore.Content
}

func (c *checker) info(info Info) error { c.contents.Info = info; return nil }

func (c *checker) file(dir, _ string, _ []byte) error {
	if dir == keysDir {
		c.contents.KeyFiles++
	} else {
		c.contents.Invitations++
	}
	return nil
}

func (c *checker) piece(piece []byte) error {
	if err := c.store.Add(piece); err != nil {
		return damaged("%v", err)
	}
	return nil
}

// taker takes what read finds. What it is given is valid during the call.
type taker interface {
	info(Info) error
	file(dir, name string, content []byte) error
	piece(piece []byte) error
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotBackup, fmt.Sprintf(format, args...))
}

// reader reads a backup file by file.
type reader struct {
	raw    *summer
	tar    *tar.Reader
	taker  taker
	buffer bytes.Buffer
	header *tar.Header // of the file in the buffer
}

// summer sums up what is read.
type summer struct {
	from io.Reader
	sum  hash.Hash
	err  error // of from
}

func (s *summer) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.sum.Write(b[:n])
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// read hands a backup to a taker, and returns the last key of its store. Nothing is valid before it has returned.
func read(from io.Reader, t taker) (lastKey uint64, err error) {
	raw := &summer{from: from, sum: sha256.New()}
	r := &reader{raw: raw, tar: tar.NewReader(raw), taker: t}
	lastKey, err = r.read()
	if raw.err != nil {
		err = raw.err // not the backup's fault
	}
	return lastKey, err
}

func (r *reader) read() (lastKey uint64, err error) {
	info, err := r.readInfo()
	if err != nil {
		return 0, err
	}
	if err := r.next(); err != nil {
		return 0, err
	}
	for _, dir := range []string{keysDir, invitationsDir} {
		if err := r.readDirectory(dir, info); err != nil {
			return 0, err
		}
	}
	if err := r.readStore(); err != nil {
		return 0, err
	}
	return r.readEnd()
}

func (r *reader) readInfo() (info Info, err error) {
	if err := r.next(); err != nil {
		return info, err
	}
	if err := r.parse(headName, &info); err != nil {
		return info, err
	}
	if info.Format < 1 {
		return info, damaged("it has format %d", info.Format)
	}
	if info.Format > formatVersion || info.Schema > boltstore.SchemaVersion {
		return info, fmt.Errorf("%w (its format is %d and its schema version %d, this one knows up to %d and %d)", ErrNewer,
			info.Format, info.Schema, formatVersion, boltstore.SchemaVersion)
	}
	return info, r.taker.info(info)
}

// readDirectory takes the files of a directory and goes to what follows.
func (r *reader) readDirectory(dir string, info Info) error {
	last := ""
	for count := 0; ; count++ {
		name, found := strings.CutPrefix(r.header.Name, dir+"/")
		if !found {
			return nil
		}
		switch {
		case !isFileName(name) || name <= last:
			return damaged("it holds %.100q", r.header.Name)
		case dir == keysDir && !info.Keys:
			return damaged("it holds keys, and says that it holds none")
		case count >= maxFiles:
			return damaged("it holds more than %d files", maxFiles)
		}
		if err := r.taker.file(dir, name, r.buffer.Bytes()); err != nil {
			return err
		}
		last = name
		if err := r.next(); err != nil {
			return err
		}
	}
}

func (r *reader) readStore() error {
	for n := 1; r.header.Name == fmt.Sprintf(pieceName, n); n++ {
		if err := r.taker.piece(r.buffer.Bytes()); err != nil {
			return err
		}
		if err := r.next(); err != nil {
			return err
		}
	}
	return nil
}

// readEnd wants the end, the checksum, and nothing behind it.
func (r *reader) readEnd() (uint64, error) {
	var e end
	if err := r.parse(endName, &e); err != nil {
		return 0, err
	}
	if r.buffer.Len()%blockSize != 0 {
		return 0, damaged("%s has %d bytes", endName, r.buffer.Len())
	}
	sum := r.raw.sum.Sum(nil)
	if err := r.next(); err != nil {
		return 0, err
	}
	if r.header.Name != sumName || !bytes.Equal(r.buffer.Bytes(), fillUp(fmt.Appendf(nil, "%x", sum))) {
		return 0, damaged("its checksum does not match")
	}
	rest, err := io.ReadAll(io.LimitReader(r.raw, 2*blockSize+1))
	if err != nil || !bytes.Equal(rest, make([]byte, 2*blockSize)) {
		return 0, damaged("it does not end as it should")
	}
	return e.LastKey, nil
}

func (r *reader) parse(name string, value any) error {
	if r.header.Name != name || r.buffer.Len() > maxHead {
		return damaged("it holds %.100q where %s belongs", r.header.Name, name)
	}
	if err := json.Unmarshal(r.buffer.Bytes(), value); err != nil {
		return damaged("%s cannot be read", name)
	}
	return nil
}

// next reads the next file into the buffer. Any other thing than a plain file is refused.
func (r *reader) next() error {
	header, err := r.tar.Next()
	if err != nil {
		return cutShort(err)
	}
	limit := int64(maxFile)
	if strings.HasPrefix(header.Name, "store/") {
		limit = maxPiece
	}
	switch {
	case header.Typeflag != tar.TypeReg || header.Linkname != "" || header.Format != tar.FormatUSTAR || len(header.PAXRecords) > 0:
		return damaged("%.100q is not a plain file", header.Name)
	case header.Size > limit:
		return damaged("%.100q has %d bytes", header.Name, header.Size)
	}
	r.header = header
	r.buffer.Reset()
	if _, err := r.buffer.ReadFrom(r.tar); err != nil {
		return cutShort(err)
	}
	return nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("it ends too early")
	}
	return damaged("%v", err)
}
