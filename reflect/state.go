package reflect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"openmediator/d2m"
)

// State is the small record of a group: who is in it and who waits for what.
//
// Its encoding is a version byte and unsigned varints; gaps are written as distances.
type State struct {
	LastTimestamp uint64 // none given out later is lower (B15), Unix milliseconds
	Bound         uint64 // numbers below it are drawn, or may have been (B14)
	LastLock      uint32 // highest number of a transaction lock that has ended
	Locks         []LockStart
	Slots         []SlotState
}

// LockStart says which numbers the messages got that were deferred behind a transaction lock, when the lock ended. It is
// kept as long as somebody waits for one of them.
type LockStart struct {
	Lock  uint32
	Start uint64 // of the message in the first place behind the lock
	Count uint64 // places behind the lock
}

// starts returns, by lock, the number of the message in the first place behind it.
func (s *State) starts() map[uint32]uint64 {
	starts := make(map[uint32]uint64, len(s.Locks))
	for _, l := range s.Locks {
		starts[l.Lock] = l.Start
	}
	return starts
}

// SlotState is what is stored of a device slot beside its device info.
type SlotState struct {
	Device     d2m.DeviceID
	Expiration d2m.ExpirationPolicy
	Connected  bool   // at the time of writing
	Confirmed  bool   // the device knows that it is registered (B7)
	Since      uint64 // Unix milliseconds: of the login if connected, else of the leaving

	First uint64   // lowest number that is meant for this slot
	Next  uint64   // lowest number such that it and all above are not acknowledged
	Gaps  []uint64 // numbers below Next that are not acknowledged, rising
}

const (
	stateVersion  = 1
	slotConnected = 1 << 0
	slotConfirmed = 1 << 1
)

// Append appends the encoding of s to b.
func (s *State) Append(b []byte) []byte {
	b = append(b, stateVersion)
	b = binary.AppendUvarint(b, s.LastTimestamp)
	b = binary.AppendUvarint(b, s.Bound)
	b = binary.AppendUvarint(b, uint64(s.LastLock))
	b = binary.AppendUvarint(b, uint64(len(s.Locks)))
	for _, l := range s.Locks {
		b = binary.AppendUvarint(b, uint64(l.Lock))
		b = binary.AppendUvarint(b, l.Start)
		b = binary.AppendUvarint(b, l.Count)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Slots)))
	for i := range s.Slots {
		b = s.Slots[i].append(b)
	}
	return b
}

func (s *SlotState) append(b []byte) []byte {
	var flags byte
	if s.Connected {
		flags |= slotConnected
	}
	if s.Confirmed {
		flags |= slotConfirmed
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Device))
	b = append(b, byte(s.Expiration), flags)
	b = binary.AppendUvarint(b, s.Since)
	b = binary.AppendUvarint(b, s.First)
	b = binary.AppendUvarint(b, s.Next)
	b = binary.AppendUvarint(b, uint64(len(s.Gaps)))
	last := s.First
	for _, gap := range s.Gaps {
		b = binary.AppendUvarint(b, gap-last)
		last = gap
	}
	return b
}

// ParseState reads what Append wrote. Empty data is the state of a group that does not exist.
func ParseState(data []byte) (*State, error) {
	s := new(State)
	if len(data) == 0 {
		return s, nil
	}
	if data[0] != stateVersion {
		return nil, fmt.Errorf("group state: version %d, want %d", data[0], stateVersion)
	}
	d := decoder{rest: data[1:]}
	s.LastTimestamp = d.uvarint()
	s.Bound = d.uvarint()
	s.LastLock = d.uint32()
	for range d.count(3) {
		s.Locks = append(s.Locks, LockStart{Lock: d.uint32(), Start: d.uvarint(), Count: d.uvarint()})
	}
	for range d.count(14) {
		s.Slots = append(s.Slots, d.slot())
	}
	if len(d.rest) > 0 {
		d.broken = true
	}
	if d.broken {
		return nil, errors.New("group state: not what was written")
	}
	return s, nil
}

// decoder reads from rest; once something did not fit, broken stays set and everything reads as zero.
type decoder struct {
	rest   []byte
	broken bool
}

func (d *decoder) take(n int) []byte {
	if d.broken || n > len(d.rest) {
		d.broken = true
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.broken || n <= 0 {
		d.broken = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > math.MaxUint32 {
		d.broken = true
	}
	return uint32(v)
}

// count reads a number of elements that take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.broken = true
		return 0
	}
	return int(n)
}

func (d *decoder) slot() (s SlotState) {
	s.Device = d2m.DeviceID(binary.LittleEndian.Uint64(d.take(8)))
	fixed := d.take(2)
	s.Expiration = d2m.ExpirationPolicy(fixed[0])
	s.Connected = fixed[1]&slotConnected != 0
	s.Confirmed = fixed[1]&slotConfirmed != 0
	s.Since = d.uvarint()
	s.First = d.uvarint()
	s.Next = d.uvarint()
	last := s.First
	for i := range d.count(1) {
		gap := last + d.uvarint()
		if gap < last || gap >= s.Next || i > 0 && gap == last {
			d.broken = true
			return s
		}
		s.Gaps = append(s.Gaps, gap)
		last = gap
	}
	return s
}
