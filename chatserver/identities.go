package chatserver

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"openmediator/chatserver/directory"
	"openmediator/csp"
	"openmediator/internal/textfile"
)

const (
	// MaxIdentityFile is the largest identity file that is read, bytes: 100,000 lines without comments have less.
	MaxIdentityFile = 16 << 20

	// lookInterval is how often an identity file is looked at.
	lookInterval = time.Second
)

// IdentityFile is a file with a line "IDENTITY PUBLICKEYHEX" per identity, and comments, which begin with #. It is read
// again when it changes. A version that cannot be read, or in which anything is wrong, is refused as a whole; then what
// the file held before stays in force, and the log says which line is wrong. The file is never written.
type IdentityFile struct {
	// fixed
	file *textfile.File // the goroutine's
	log  zerolog.Logger
	stop chan struct{}
	done chan struct{}

	mu   sync.RWMutex
	keys FixedIdentities
}

// OpenIdentityFile reads a file and watches it until Close. The error is one sentence for the operator.
func OpenIdentityFile(path string, log zerolog.Logger) (*IdentityFile, error) {
	file, data, err := textfile.Open(path, MaxIdentityFile)
	var keys FixedIdentities
	if err == nil {
		keys, err = ParseIdentities(data)
	}
	if err != nil {
		return nil, fmt.Errorf("identity file %s: %w", path, err)
	}
	f := &IdentityFile{file: file, log: log, stop: make(chan struct{}), done: make(chan struct{}), keys: keys}
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
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-ticker.C:
			f.look()
		}
	}
}

func (f *IdentityFile) look() {
	data, changed, err := f.file.Look()
	switch {
	case err != nil:
		f.log.Error().Str("cause", err.Error()).Msg("identity file cannot be read: what it held stays in force")
	case changed:
		f.replace(data)
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
