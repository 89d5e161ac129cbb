package reflect

import "time"

const (
	// ahead is by how many numbers MoveAhead moves a group's bound: more than a group draws in a month at a hundred a second.
	ahead = 1 << 28

	// maxSpan is how far apart the oldest number that waits and the next one may be, so that on the wire, where numbers
	// have 32 bits, an acknowledgement of the one is not taken for one of a number ahead of the other (B19).
	maxSpan = 1<<31 - 1<<24
)

// MoveAhead returns the state for a group that goes on from a copy of what was stored, made at a time, while devices may have
// seen what came after it. All that the server no longer knows is taken for possible:
//
//   - Numbers behind those of the copy may have been given out, so the bound moves far ahead (B14). An acknowledgement of one
//     of them is then ignored, not answered with 4012 (B19).
//   - Devices may have seen timestamps up to now (B15).
//   - A device may have been dropped and register anew, or go on as it was: its slot counts as one that is not confirmed yet,
//     so that either is taken (B7).
//   - A device that was away may have been there since: what has passed since the copy does not count as absence (B34).
//
// What waits keeps its number: devices that acknowledged it after the copy was made recognise it (B17).
func (s *Snapshot) MoveAhead(made, now time.Time) (*State, error) {
	state, err := ParseState(s.State)
	if err != nil {
		return nil, err
	}
	oldest := state.Bound
	starts := state.starts()
	for i := range s.Messages {
		m := &s.Messages[i]
		if start, placed := starts[m.Lock]; m.Lock == 0 || placed {
			oldest = min(oldest, start+m.Place)
		}
		state.LastTimestamp = max(state.LastTimestamp, m.Timestamp)
	}
	state.Bound = max(state.Bound, min(state.Bound+ahead, oldest+maxSpan))
	present := uint64(max(0, made.UnixMilli(), now.UnixMilli()))
	state.LastTimestamp = max(state.LastTimestamp, present)
	passed := uint64(max(0, now.Sub(made).Milliseconds()))
	for i := range state.Slots {
		slot := &state.Slots[i]
		slot.Confirmed = false
		if !slot.Connected {
			slot.Since = max(slot.Since, min(slot.Since+passed, present))
		}
	}
	return state, nil
}
