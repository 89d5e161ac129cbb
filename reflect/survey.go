package reflect

import (
	"math"
	"time"
)

// Survey is what can be said of a group from what is stored, without any content.
type Survey struct {
	Slots    []SlotState
	Queues   []Waiting // of the slots, in their order
	Messages int       // that some slot waits for
	Bytes    int64     // of their envelopes
	Oldest   time.Time // when the oldest of them was accepted; zero if there is none
	Blobs    int64     // bytes of device infos and shared device data
}

// Waiting is what waits for one slot.
type Waiting struct {
	Messages int
	Bytes    int64     // of their envelopes
	Oldest   time.Time // when the oldest of them was accepted; zero if there is none
}

// Survey looks through a snapshot. The error is that of a state which cannot be read.
func (s *Snapshot) Survey() (Survey, error) {
	state, err := ParseState(s.State)
	if err != nil {
		return Survey{}, err
	}
	var q Queue
	cursors, deferred := q.Restore(state, s.Messages)
	survey := Survey{Slots: state.Slots, Messages: q.Len() + len(deferred), Bytes: q.Bytes()}
	accepted := make(map[Location]time.Time, len(s.Messages))
	for i := range s.Messages {
		accepted[s.Messages[i].At] = time.UnixMilli(int64(s.Messages[i].Timestamp))
	}
	for _, c := range cursors {
		w := Waiting{Messages: c.count, Bytes: c.bytes}
		if item, ok := q.Next(c, c.Oldest(), math.MaxUint64); ok {
			w.Oldest = accepted[item.At]
			survey.age(w.Oldest)
		}
		survey.Queues = append(survey.Queues, w)
	}
	for _, d := range deferred {
		survey.Bytes += int64(d.At.Size - recordHeaderSize)
		survey.age(accepted[d.At])
	}
	for _, b := range s.Blobs {
		survey.Blobs += int64(len(b.Data))
	}
	return survey, nil
}

// age notes when a message was accepted that waits.
func (s *Survey) age(accepted time.Time) {
	if s.Oldest.IsZero() || accepted.Before(s.Oldest) {
		s.Oldest = accepted
	}
}
