package reflect

import "time"

// Survey is what can be said of a group from what is stored, without any content.
type Survey struct {
	Slots    []SlotState
	Messages int       // that some slot waits for
	Bytes    int64     // of their envelopes
	Oldest   time.Time // when the oldest of them was accepted; zero if there is none
	Blobs    int64     // bytes of device infos and shared device data
}

// Survey looks through a snapshot. The error is that of a state which cannot be read.
func (s *Snapshot) Survey() (Survey, error) {
	state, err := ParseState(s.State)
	if err != nil {
		return Survey{}, err
	}
	var q Queue
	_, deferred := q.Restore(state, s.Messages)
	survey := Survey{Slots: state.Slots, Messages: q.Len() + len(deferred), Bytes: q.Bytes()}
	waiting := make(map[Location]bool, survey.Messages)
	for _, e := range q.entries {
		if e.waiting > 0 {
			waiting[Location{Key: e.chunk.Key, Offset: e.offset, Size: recordHeaderSize + uint32(e.size)}] = true
		}
	}
	for _, d := range deferred {
		survey.Bytes += int64(d.At.Size - recordHeaderSize)
		waiting[d.At] = true
	}
	for i := range s.Messages {
		if m := &s.Messages[i]; waiting[m.At] {
			if at := time.UnixMilli(int64(m.Timestamp)); survey.Oldest.IsZero() || at.Before(survey.Oldest) {
				survey.Oldest = at
			}
		}
	}
	for _, b := range s.Blobs {
		survey.Blobs += int64(len(b.Data))
	}
	return survey, nil
}
