package backup

import (
	"errors"
	"regexp"
	"time"
)

// Names in the archive.
const (
	headName       = "backup.json"
	keysDir        = "tls"
	invitationsDir = "invitations"
	pieceName      = "store/%08d"
	endName        = "end.json"
	sumName        = "sha256"
)

const (
	// formatVersion is what this program writes. It reads no higher one.
	formatVersion = 1

	blockSize = 512 // of tar, bytes

	maxHead  = 4 << 10 // bytes of backup.json, end.json and sha256
	maxFile  = 1 << 20 // bytes of a key, certificate or invitation
	maxFiles = 30_000  // of both directories; there are at most 10,000 invitations
	maxPiece = 1 << 30 // bytes; only what is in the file is allocated
)

// maxFileName is how long the name of a file of the directories may be, bytes.
const maxFileName = 128

var fileName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]*$`)

// isFileName tells whether a file of the directories may be called so: nothing that leads elsewhere, and not hidden.
func isFileName(name string) bool {
	// In the pattern, the bound would take each start of the program half a millisecond.
	return len(name) <= maxFileName && fileName.MatchString(name)
}

// Info is what a backup says of itself.
type Info struct {
	Format  int       `json:"format"`
	Schema  uint64    `json:"schema"` // of the store
	Made    time.Time `json:"made"`   // before anything was read, to the second
	Program string    `json:"program"`
	Keys    bool      `json:"keys"`  // the TLS keys are in it
	Bytes   int64     `json:"bytes"` // that the store took then, about; for progress
}

// end is what can be said when the store has been read.
type end struct {
	LastKey uint64 `json:"last_key"`
}

// Why a backup is refused.
var (
	// ErrNotBackup says that a file is none, or not whole, or damaged.
	ErrNotBackup = errors.New("not a backup, or damaged")

	// ErrNewer says that it was made by a newer version of this program.
	ErrNewer = errors.New("was made by a newer version of this program: use that one")
)
