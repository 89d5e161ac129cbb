package chatserver

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"openmediator/chatserver/directory"
	"openmediator/csp"
)

const (
	// MaxIdentityFile is the largest identity file that is read, bytes: 100,000 lines without comments have less.
	MaxIdentityFile = 16 << 20

	// pollInterval is how often an identity file is looked at. A new version is read when two looks in a row have seen it:
	// one that is being written is often empty for a moment, which would be a sound file without identities.
	pollInterval = time.Second
)

// IdentityFile is a file with a line "IDENTITY PUBLICKEYHEX" per identity, and comments, which begin with #. It is read
// again when it changes. A version that cannot be read, or in which anything is wrong, is refused as a whole; then what
// the file held before stays in force, and the log says which line is wrong. The file is never written.
type IdentityFile struct {
	// fixed
	path string
	log  zerolog.Logger
	stop chan struct{}
	done chan struct{}

	// goroutine
	seen    os.FileInfo       // of the version that was read last; nil: none
	found   os.FileInfo       // of the version at the last look; nil: none
	content [sha256.Size]byte // of the version that was read last, in force or refused
	missing bool              // it could not be read

	mu   sync.RWMutex
	keys FixedIdentities
}

// OpenIdentityFile reads a file and watches it until Close. The error is one sentence for the operator.
func OpenIdentityFile(path string, log zerolog.Logger) (*IdentityFile, error) {
	f := &IdentityFile{path: path, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	data, _, err := readFile(path)
	if err == nil {
		f.keys, err = ParseIdentities(data)
	}
	if err != nil {
		return nil, fmt.Errorf("identity file %s: %w", path, pathCause(err))
	}
	f.content = sha256.Sum256(data) // seen stays open: it may have been written to at this very moment
	go f.watch()
	return f, nil
}

// Close ends the watching. What was read last stays in force.
func (f *IdentityFile) Close() {
	close(f.stop)
	<-f.done
}

// PublicKey implements Identities.
func (f *IdentityFile) PublicKey(id csp.Identity) (*ecdh.PublicKey, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.keys.PublicKey(id)
}

func (f *IdentityFile) watch() {
	defer close(f.done)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-ticker.C:
			f.poll()
		}
	}
}

// poll reads the file again if it has changed, and has not since the last look.
func (f *IdentityFile) poll() {
	info, err := os.Stat(f.path)
	if err != nil {
		f.found = nil
		f.unreadable(err)
		return
	}
	settled := isSame(f.found, info)
	f.found = info
	if !settled || isSame(f.seen, info) {
		return
	}
	data, info, err := readFile(f.path)
	if err != nil {
		f.unreadable(err)
		return
	}
	f.missing, f.seen = false, info
	if content := sha256.Sum256(data); content != f.content {
		f.content = content
		f.replace(data)
	}
}

// unreadable logs that the file cannot be read, once until it can.
func (f *IdentityFile) unreadable(err error) {
	f.seen = nil
	if !f.missing {
		f.missing = true
		f.log.Error().Str("cause", pathCause(err).Error()).Msg("identity file cannot be read: what it held stays in force")
	}
}

// replace puts a new version in force, unless it is refused.
func (f *IdentityFile) replace(data []byte) {
	keys, err := ParseIdentities(data)
	if err != nil {
		f.log.Error().Str("cause", err.Error()).Msg("identity file is refused: what it held before stays in force")
		return
	}
	f.mu.Lock()
	f.keys = keys
	f.mu.Unlock()
	f.log.Info().Int("identities", len(keys)).Msg("identity file was read again")
}

// isSame tells whether two looks saw the same version. a may be nil.
func isSame(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func readFile(path string) ([]byte, os.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, errors.New("it is a directory")
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxIdentityFile+1))
	if err == nil && len(data) > MaxIdentityFile {
		err = fmt.Errorf("it has more than %d bytes", MaxIdentityFile)
	}
	return data, info, err
}

// ParseIdentities reads the content of an identity file. The error names the line, and nothing that stands in it.
func ParseIdentities(data []byte) (FixedIdentities, error) {
	keys := make(FixedIdentities)
	lines := make(map[csp.Identity]int)
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		line := strings.TrimSpace(string(raw))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, key, err := parseIdentityLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if earlier := lines[id]; earlier != 0 {
			return nil, fmt.Errorf("line %d: its identity stands in line %d already", number, earlier)
		}
		keys[id], lines[id] = key, number
	}
	return keys, nil
}

func parseIdentityLine(line string) (csp.Identity, *ecdh.PublicKey, error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return csp.Identity{}, nil, fmt.Errorf("it has %d words, want IDENTITY PUBLICKEYHEX", len(fields))
	}
	id, err := csp.ParseIdentity(fields[0])
	if err != nil {
		return csp.Identity{}, nil, errors.New("its identity is not 8 characters A–Z and 0–9")
	}
	key, err := directory.ParsePublicKey(fields[1])
	if err != nil {
		return csp.Identity{}, nil, err
	}
	return id, key, nil
}
