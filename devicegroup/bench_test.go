package devicegroup

import (
	"encoding/binary"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// steps is a group that is driven as fast as it goes, with a store that is done at once.
type steps struct {
	*Group
	now time.Time
	key uint64
	out Output
}

func newSteps(b *testing.B, devices int) (s *steps, conns []*Conn) {
	b.Helper()
	s = &steps{now: time.Unix(1_800_000_000, 0)}
	config := DefaultConfig()
	config.MaxSlots = devices
	var err error
	if s.Group, err = New(d2m.GroupID{1}, config, &reflect.Snapshot{Epoch: 1}, s.now); err != nil {
		b.Fatal(err)
	}
	for device := range devices {
		hello := d2m.ClientHello{DeviceID: d2m.DeviceID(device), Expiration: d2m.Persistent, Expected: d2m.SlotNew}
		c := s.Register(s.now, &hello)
		s.commit()
		s.take(c)
		s.Drained(s.now, c)
		conns = append(conns, c)
	}
	s.commit()
	for _, c := range conns {
		s.take(c)
	}
	return s, conns
}

// commit stores what is to be stored, what can wait included.
func (s *steps) commit() {
	for batch := s.Seal(s.now, true); batch != nil; batch = s.Seal(s.now, false) {
		if batch.Chunk != nil {
			s.key++
			batch.Key = s.key
		}
		s.Committed(s.now, batch, nil)
		s.Woken()
		s.TailBytes()
	}
}

// take fetches all that is to be sent on c, and returns how many frames that were.
func (s *steps) take(c *Conn) (frames int) {
	for s.Next(c, &s.out); !s.out.Empty(); s.Next(c, &s.out) {
		frames += len(s.out.Ends)
	}
	return frames
}

// BenchmarkStep measures a message's way through the core, in commits of 32: accepted, stored, acked to its sender,
// delivered to all others and acknowledged by them. In a larger group each message costs more by what the others cost.
func BenchmarkStep(b *testing.B) {
	const window = 32
	for _, devices := range []int{3, 8} {
		b.Run(map[int]string{3: "3devices", 8: "8devices"}[devices], func(b *testing.B) {
			s, conns := newSteps(b, devices)
			message := d2m.Reflect{Envelope: make([]byte, 300)}.Append(nil)
			ack := d2m.ReflectedAck{}.Append(nil)
			number := uint32(s.next)
			b.ReportAllocs()
			b.ResetTimer()
			for left := b.N; left > 0; left -= window {
				for range window {
					s.Receive(s.now, conns[0], message)
				}
				s.commit()
				for i, c := range conns {
					if got := s.take(c); got != window {
						b.Fatalf("connection %d got %d frames, want %d", i, got, window)
					}
				}
				for _, c := range conns[1:] {
					for i := range uint32(window) {
						binary.LittleEndian.PutUint32(ack[len(ack)-4:], number+i)
						s.Receive(s.now, c, ack)
					}
				}
				number += window
			}
			b.StopTimer()
			s.commit()
			if waiting, _ := s.Waiting(); waiting != 0 {
				b.Fatalf("%d messages still wait", waiting)
			}
		})
	}
}
