package chatserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/csp"
)

// shortLife is how long a message with flag 0x20 waits at most.
const shortLife = 60 * time.Second

const (
	identitySize = len(csp.Identity{})
	expirySize   = 8 // in front of each message in the queue
)

// errQueueFull refuses a message for a receiver that has too many waiting.
var errQueueFull = errors.New("queue of the receiver is full")

// transaction is what operations write with. The first error of the file stays in err and undoes everything.
type transaction struct {
	tx       *bbolt.Tx
	now      time.Time
	maxQueue int
	changed  bool
	err      error
}

func newTransaction(tx *bbolt.Tx, maxQueue int) *transaction {
	return &transaction{tx: tx, now: time.Now(), maxQueue: maxQueue}
}

func (t *transaction) get(bucket, key []byte) []byte { return t.tx.Bucket(bucket).Get(key) }

func (t *transaction) set(bucket, key, value []byte) {
	t.changed = true
	if err := t.tx.Bucket(bucket).Put(key, value); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *transaction) delete(bucket, key []byte) {
	t.changed = true
	if err := t.tx.Bucket(bucket).Delete(key); err != nil && t.err == nil {
		t.err = err
	}
}

// put adds a message to the queue of its receiver. One that waits there already stays as it is.
func (t *transaction) put(m csp.Message) error {
	known := waitingKey(m.Receiver, m.Sender, m.ID)
	if t.get(bucketWaiting, known) != nil {
		return nil
	}
	count := t.count(m.Receiver)
	if count >= t.maxQueue {
		return errQueueFull
	}
	record, err := m.Append(make([]byte, expirySize))
	if err != nil {
		return err
	}
	arrival, err := t.tx.Bucket(bucketQueue).NextSequence()
	if err != nil {
		return err
	}
	if m.Flags&csp.FlagShortLived != 0 {
		expiry := uint64(t.now.Add(shortLife).UnixMilli())
		binary.BigEndian.PutUint64(record, expiry)
		t.set(bucketExpiring, expiringKey(expiry, m.Receiver, arrival), nil)
	}
	t.set(bucketQueue, queueKey(m.Receiver, arrival), record)
	t.set(bucketWaiting, known, number(arrival))
	t.setCount(m.Receiver, count+1)
	return nil
}

// acked deletes the message that its receiver has acked. There may be none.
func (t *transaction) acked(receiver csp.Identity, ack csp.MessageAck) {
	if arrival := t.get(bucketWaiting, waitingKey(receiver, ack.Identity, ack.ID)); arrival != nil {
		t.remove(receiver, binary.BigEndian.Uint64(arrival))
	}
}

// remove deletes a message from the queue of its receiver. There may be none.
func (t *transaction) remove(receiver csp.Identity, arrival uint64) {
	key := queueKey(receiver, arrival)
	record := t.get(bucketQueue, key)
	if record == nil {
		return
	}
	expiry, m, err := parseRecord(record)
	if err != nil {
		t.err = err
		return
	}
	waiting := waitingKey(receiver, m.Sender, m.ID)
	t.delete(bucketQueue, key) // m is not valid any more
	t.delete(bucketWaiting, waiting)
	if expiry != 0 {
		t.delete(bucketExpiring, expiringKey(expiry, receiver, arrival))
	}
	t.setCount(receiver, t.count(receiver)-1)
}

// expire deletes the messages whose time is over.
func (t *transaction) expire() {
	now := uint64(t.now.UnixMilli())
	var due [][]byte
	c := t.tx.Bucket(bucketExpiring).Cursor()
	for key, _ := c.First(); key != nil && binary.BigEndian.Uint64(key) <= now; key, _ = c.Next() {
		due = append(due, append([]byte(nil), key...))
	}
	for _, key := range due {
		rest := key[8:]
		t.remove(csp.Identity(rest[:identitySize]), binary.BigEndian.Uint64(rest[identitySize:]))
	}
}

// count returns how many messages wait for a receiver.
func (t *transaction) count(receiver csp.Identity) int {
	n := t.get(bucketCount, receiver[:])
	if n == nil {
		return 0
	}
	return int(binary.BigEndian.Uint64(n))
}

func (t *transaction) setCount(receiver csp.Identity, n int) {
	if n == 0 {
		t.delete(bucketCount, receiver[:])
		return
	}
	t.set(bucketCount, receiver[:], number(uint64(n)))
}

// queued is a message that waits.
type queued struct {
	arrival uint64
	message csp.Message
}

// page is a part of a queue.
type page struct {
	messages []queued
	more     bool   // there are more behind these
	last     uint64 // arrival of the last message stored for anybody
}

// read returns the messages of a receiver from one arrival on, until they have maxBytes or are all. The slices in them
// are the caller's.
func (s *store) read(receiver csp.Identity, from uint64, maxBytes int) (p page, err error) {
	now := uint64(time.Now().UnixMilli())
	err = s.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketQueue)
		p.last = bucket.Sequence()
		size := 0
		c := bucket.Cursor()
		for key, record := c.Seek(queueKey(receiver, from)); belongsTo(key, receiver); key, record = c.Next() {
			if size >= maxBytes {
				p.more = true
				return nil
			}
			expiry, m, err := parseRecord(append([]byte(nil), record...))
			if err != nil {
				return err
			}
			if expiry == 0 || expiry > now {
				p.messages = append(p.messages, queued{binary.BigEndian.Uint64(key[identitySize:]), m})
				size += len(record)
			}
		}
		return nil
	})
	if err != nil {
		return page{}, fmt.Errorf("%w: %w", errStorage, err)
	}
	return p, nil
}

func parseRecord(record []byte) (expiry uint64, m csp.Message, err error) {
	if len(record) < expirySize {
		return 0, m, errors.New("stored message: it is cut short")
	}
	m, err = csp.ParseMessage(record[expirySize:])
	return binary.BigEndian.Uint64(record), m, err
}

func belongsTo(key []byte, receiver csp.Identity) bool {
	return len(key) > identitySize && csp.Identity(key[:identitySize]) == receiver
}

func queueKey(receiver csp.Identity, arrival uint64) []byte {
	return binary.BigEndian.AppendUint64(receiver[:], arrival)
}

func waitingKey(receiver, sender csp.Identity, id csp.MessageID) []byte {
	return binary.BigEndian.AppendUint64(append(receiver[:], sender[:]...), uint64(id))
}

func expiringKey(expiry uint64, receiver csp.Identity, arrival uint64) []byte {
	return binary.BigEndian.AppendUint64(append(number(expiry), receiver[:]...), arrival)
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
