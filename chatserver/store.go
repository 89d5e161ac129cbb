package chatserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	storeName     = "chatserver.db"
	schemaVersion = 1
	lockTimeout   = 500 * time.Millisecond // for another process to let go of the file
	maxWaiting    = 1_024                  // operations that wait for the committer; whoever adds another one waits
	sweepInterval = 10 * time.Second       // between two looks for messages whose time is over, if nothing else is stored
)

// Buckets. Numbers in keys are big-endian, so that they sort.
var (
	bucketMeta       = []byte("meta")       // "schema": one byte
	bucketQueue      = []byte("queue")      // receiver 8 · arrival u64: expiry u64 ms (0: never) · message
	bucketWaiting    = []byte("waiting")    // receiver 8 · sender 8 · message id u64: arrival u64
	bucketCount      = []byte("count")      // receiver 8: how many messages wait, u64
	bucketExpiring   = []byte("expiring")   // expiry u64 ms · receiver 8 · arrival u64: nothing
	bucketCookies    = []byte("cookies")    // identity 8: device cookie 16 · changed u8
	bucketIdentities = []byte("identities") // identity 8: public key 32
)

var buckets = [][]byte{
	bucketMeta, bucketQueue, bucketWaiting, bucketCount, bucketExpiring, bucketCookies, bucketIdentities,
}

var (
	// ErrInUse says that another process has the data directory open.
	ErrInUse = errors.New("in use by another chat server")

	errStorage = errors.New("storage failed")
	errStopped = errors.New("storage is closed")
)

// store is the file, and the committer, its one goroutine that writes to it.
type store struct {
	// fixed
	db       *bbolt.DB
	maxQueue int
	ops      chan operation
	stop     chan struct{} // closed by close
	done     chan struct{} // closed when the committer has ended
	fault    func() error  // called before each commit, nil but in tests

	// told of each transaction that failed, and of each that was committed; set before run
	failed func(error)
	works  func()
}

// operation is something to be stored.
type operation struct {
	// do is called in a transaction that others share. What it returns as an error is a refusal and concerns nobody else;
	// then it has written nothing.
	do func(*transaction) error
	// then is called when the transaction is on disk, or with an error. It must not block, and not wait for the store.
	then func(error)
}

// openStore opens the file in a directory; both are made if they are not there. The error names the directory.
func openStore(dir string, maxQueue int) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, pathCause(err))
	}
	db, err := bbolt.Open(filepath.Join(dir, storeName), 0o600, &bbolt.Options{
		Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("data directory %s: %w", dir, ErrInUse)
	case err != nil:
		return nil, fmt.Errorf("data directory %s: %s: %w", dir, storeName, pathCause(err))
	}
	if err := db.Update(makeSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), db.Close())
	}
	s := &store{
		db: db, maxQueue: maxQueue,
		ops: make(chan operation, maxWaiting), stop: make(chan struct{}), done: make(chan struct{}),
		failed: func(error) {}, works: func() {},
	}
	return s, nil
}

// pathCause strips the path, which the message has already, or has in another form.
func pathCause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

func makeSchema(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta != nil {
		if version := meta.Get([]byte("schema")); len(version) != 1 || version[0] != schemaVersion {
			return fmt.Errorf("%s: it was made by another version of this program", storeName)
		}
		return nil
	}
	for _, name := range buckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put([]byte("schema"), []byte{schemaVersion})
}

// run is the committer. It takes all that waits and stores it in one transaction, again and again, until close.
func (s *store) run() {
	defer close(s.done)
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		var batch []operation
		select {
		case op := <-s.ops:
			batch = append(batch, op)
		case <-sweep.C:
		case <-s.stop:
			s.commit(s.rest(nil))
			return
		}
		s.commit(s.rest(batch))
	}
}

// rest appends what waits now.
func (s *store) rest(batch []operation) []operation {
	for len(batch) < maxWaiting {
		select {
		case op := <-s.ops:
			batch = append(batch, op)
		default:
			return batch
		}
	}
	return batch
}

// commit does operations in one transaction: all that are not refused, or none.
func (s *store) commit(batch []operation) {
	refused := make([]error, len(batch))
	err := s.update(func(t *transaction) {
		t.expire()
		for i, op := range batch {
			refused[i] = op.do(t)
		}
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", errStorage, err)
		s.failed(err)
	}
	for i, op := range batch {
		if err != nil {
			op.then(err)
		} else {
			op.then(refused[i])
		}
	}
}

// update runs do in a transaction, which is committed if anything was changed.
func (s *store) update(do func(*transaction)) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	t := newTransaction(tx, s.maxQueue)
	do(t)
	if t.err != nil || !t.changed {
		return t.err
	}
	if s.fault != nil {
		if err := s.fault(); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.works()
	return nil
}

// submit hands an operation to the committer, and waits while too many wait there. Operations are done in the order in
// which they were handed in.
func (s *store) submit(op operation) {
	select {
	case s.ops <- op:
	case <-s.stop:
		op.then(errStopped)
	}
}

// do hands an operation in and waits for its result.
func (s *store) do(do func(*transaction) error) error {
	result := make(chan error, 1)
	s.submit(operation{do: do, then: func(err error) { result <- err }})
	select {
	case err := <-result:
		return err
	case <-s.done:
	}
	select {
	case err := <-result: // of the last transaction
		return err
	default:
		return errStopped
	}
}

// close stores what was handed in before, and closes the file. Nothing must be handed in any more. It is called once,
// after run was started.
func (s *store) close() error {
	close(s.stop)
	<-s.done
	return s.db.Close()
}
