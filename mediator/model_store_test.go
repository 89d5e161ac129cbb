package mediator_test

import (
	"errors"
	"sync/atomic"

	"openmediator/d2m"
	"openmediator/devicegroup/model"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// heldStore is a store whose commits wait until they are told what becomes of them.
type heldStore struct {
	*memstore.Store
	sealed   chan *reflect.Batch
	outcomes chan error
	free     chan struct{} // closed: nothing waits any more
	claims   atomic.Int32  // since they were looked at
	group    d2m.GroupID   // whose commits wait
}

func newHeldStore(group d2m.GroupID) *heldStore {
	return &heldStore{
		group:    group,
		Store:    memstore.New(),
		sealed:   make(chan *reflect.Batch, 1),
		outcomes: make(chan error),
		free:     make(chan struct{}),
	}
}

func (s *heldStore) Claim(group d2m.GroupID) (*reflect.Snapshot, error) {
	if group == s.group {
		s.claims.Add(1)
	}
	return s.Store.Claim(group)
}

func (s *heldStore) Commit(batches []*reflect.Batch) []error {
	if batches[0].Group != s.group {
		return s.Store.Commit(batches) // the server looks whether the store works again
	}
	select {
	case <-s.free:
		return s.Store.Commit(batches)
	case s.sealed <- batches[0]:
	}
	select {
	case outcome := <-s.outcomes:
		s.Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				return outcome
			}
			return nil
		})
		defer s.Fail(nil)
	case <-s.free:
	}
	return s.Store.Commit(batches)
}

// letGo lets all commits pass, so that the server can end.
func (s *heldStore) letGo() { close(s.free) }

// batchRecords reads the messages that a batch stores.
func batchRecords(b *reflect.Batch) (records []model.Record, err error) {
	if b.Chunk == nil {
		return nil, nil
	}
	stored, err := reflect.AppendStored(nil, 0, b.Chunk)
	if err != nil {
		return nil, err
	}
	for _, s := range stored {
		record, err := reflect.Record(b.Chunk, s.At)
		if err != nil {
			return nil, err
		}
		m, err := reflect.ParseRecord(record)
		if err != nil {
			return nil, err
		}
		records = append(records, model.Record{Sender: m.Sender, Timestamp: m.Timestamp, Envelope: m.Envelope})
	}
	return records, nil
}

// answer tells the store what becomes of the commit in progress, and the model.
func (p *serving) answer(f failure) {
	p.say("     commit: %v", f.err)
	p.flight = false
	p.store.outcomes <- f.err
	p.wait()
	if f.err == nil {
		p.model.Stored(p.now)
		return
	}
	p.model.Failed(f.stored, f.code)
	p.failed, p.left = true, p.now
}

// takeSealed tells the model of a commit that has begun.
func (p *serving) takeSealed(b *reflect.Batch) error {
	if p.flight {
		return errors.New("B17: two commits at once")
	}
	p.flight = true
	records, err := batchRecords(b)
	if err != nil {
		return err
	}
	p.say("     sealed: %d messages, state: %v", len(records), b.State != nil)
	_, err = p.model.Sealed(p.now, false, records, b.State != nil)
	return err
}
