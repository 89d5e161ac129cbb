package reflect

import (
	"errors"

	"openmediator/d2m"
)

// Why a store did not do what it was asked. Both end the claim: the caller forgets all that it knows of the group and
// claims it again before it goes on.
var (
	// ErrFenced says that somebody else has claimed the group since.
	ErrFenced = errors.New("store: group was claimed by another writer")
	// ErrUnavailable says that it is not known what is stored: the write may or may not show after the next claim (B43).
	ErrUnavailable = errors.New("store: unavailable")
)

// Epoch names one claim of a group. Epochs of a group rise; 0 is never given.
type Epoch uint64

// Store keeps what device groups must not lose. All methods may be called from any goroutine.
//
// A store knows nothing of the protocol: it keeps, per group, a state, some blobs and the chunks in the order in which
// they were appended. What it answered without an error is on disk.
type Store interface {
	// Claim makes the caller the only writer of a group and returns all that is stored for it, but for the envelopes.
	// A group that does not exist has an empty snapshot and is not created by a claim. Earlier claims of it are fenced.
	// An error that is neither ErrUnavailable nor ErrFenced says that what is stored for this group makes no sense.
	Claim(group d2m.GroupID) (*Snapshot, error)

	// Peek returns what Claim would, without claiming: nobody is fenced, and Epoch is 0. A group that is being changed is
	// seen as it was and as it will be, mixed, or the answer is ErrFenced: then it can be tried again.
	Peek(group d2m.GroupID) (*Snapshot, error)

	// Commit stores batches durably, each by itself wholly or not at all, and returns one result per batch, in their
	// order: nil, ErrFenced or ErrUnavailable (possibly wrapped). It sets the Key of each batch with a chunk. A batch is
	// not changed and not kept otherwise. At most one batch per group stands in one call.
	Commit(batches []*Batch) []error

	// Read calls each with the record of every message in at, in order; record is valid during the call only. It
	// returns ErrUnavailable, ErrFenced, the first error of each, or an error for a message that is not stored.
	Read(group d2m.GroupID, epoch Epoch, at []Location, each func(i int, record []byte) error) error

	// Release gives a claim back. What is stored stays. Releasing an epoch that is not in force does nothing.
	Release(group d2m.GroupID, epoch Epoch)

	// Groups calls each with every stored group and its state, in no order, until it returns an error, which Groups
	// returns. state is valid during the call only. No method of the store may be called from it.
	Groups(each func(group d2m.GroupID, state []byte) error) error

	// Usage tells how many bytes the store takes and how many it may take at most (0: no limit known).
	Usage() (used, limit int64, err error)

	// Close waits for calls in progress, syncs and gives up the directory. Later calls return ErrUnavailable.
	Close() error
}

// Snapshot is what a claim found.
type Snapshot struct {
	Epoch    Epoch
	State    []byte   // encoded State; nil if the group does not exist; the caller's
	Blobs    []Blob   // sorted: the shared one first, then by device id; the caller's
	Messages []Stored // in the order in which they were appended
}

// Blob is what is replaced as a whole: one device's encrypted device info or the group's encrypted shared device data.
type Blob struct {
	Shared bool         // the shared device data; Device is then 0
	Device d2m.DeviceID // whose device info
	Data   []byte       // nil in a batch: delete it. Empty is a value.
}

// Batch is what one group wants to have stored in one step. The parts are applied in the order of the fields.
type Batch struct {
	Group  d2m.GroupID
	Epoch  Epoch
	Erase  bool     // everything stored for the group goes first
	Delete []uint64 // keys of chunks that go; one that is not there is skipped
	Chunk  []byte   // data of the chunk that is appended (see Chunk), or nil
	State  []byte   // replaces the state, or nil
	Blobs  []Blob   // each replaces or deletes one blob

	Key uint64 // set by Commit: the key of the chunk
}

// Location says where the record of a message is stored.
type Location struct {
	Key    uint64 // of its chunk
	Offset uint32 // of its record in the chunk's data
	Size   uint32 // of its record, header included, bytes
}

// Stored is a message as a claim finds it: all but the envelope.
type Stored struct {
	Message      // Envelope is nil
	Envelope int // size of the envelope, bytes
	At       Location
}
