package devicegroup_test

import (
	"bytes"
	"regexp"
	"slices"
	"testing"

	"openmediator/d2m"
)

// lie is something that a group could do wrong: it alters what a connection gets.
type lie struct {
	name string
	rule string // matches the rules that the model may name
	many bool   // it takes several to notice it
	tell func(frames [][]byte, end *d2m.CloseCode) [][]byte
}

var lies = []lie{
	{name: "a Reflected is lost", rule: "B10|B12|B14|B24|B27|B38", tell: without1(d2m.TypeReflected)},
	{name: "a Reflected comes twice", rule: "B10|B12|B14|B18|B24|B27", tell: twice(d2m.TypeReflected)},
	{name: "two Reflected change places", rule: "B14", tell: swapped(d2m.TypeReflected, d2m.TypeReflected)},
	{name: "an envelope is altered", rule: "B14|B10", tell: altered(func(m d2m.Reflected) d2m.Reflected {
		m.Envelope = append([]byte{'x'}, m.Envelope...)
		return m
	})},
	{name: "the flag of an ephemeral is lost", rule: "B14|B10", tell: altered(func(m d2m.Reflected) d2m.Reflected {
		m.Flags = 0
		return m
	})},
	{name: "all have the same number", rule: "B14|B18", many: true, tell: altered(func(m d2m.Reflected) d2m.Reflected {
		m.ID = 4711
		return m
	})},
	{name: "numbers go down", rule: "B14|B18", tell: altered(func(m d2m.Reflected) d2m.Reflected {
		m.ID = -m.ID
		return m
	})},
	{name: "a Reflected has another time", rule: "B15", tell: altered(func(m d2m.Reflected) d2m.Reflected {
		m.Timestamp--
		return m
	})},
	{name: "a ReflectAck has another time", rule: "B15", tell: altered(func(m d2m.ReflectAck) d2m.ReflectAck {
		m.Timestamp++
		return m
	})},
	{name: "a ReflectAck is for another Reflect", rule: "B25|B27|B15|B31|B32", tell: altered(func(m d2m.ReflectAck) d2m.ReflectAck {
		m.ID++
		return m
	})},
	{name: "a ReflectAck is lost", rule: "B25|B27|B15|B31|B32|B38|B45", tell: without1(d2m.TypeReflectAck)},
	{name: "a ReflectAck comes twice", rule: "B25|B27|B15|B31|B32", tell: twice(d2m.TypeReflectAck)},
	{name: "ReflectionQueueDry is lost", rule: "B10|B38", tell: without1(d2m.TypeReflectionQueueDry)},
	{name: "leader before the queue is dry", rule: "B10", tell: swapped(d2m.TypeReflectionQueueDry, d2m.TypeRolePromotedToLeader)},
	{name: "leader twice", rule: "B12|B14", tell: twice(d2m.TypeRolePromotedToLeader)},
	{name: "the queue's length is wrong", rule: "B7", tell: altered(func(m d2m.ServerInfo) d2m.ServerInfo {
		m.ReflectionQueueLength++
		return m
	})},
	{name: "the slot's state is wrong", rule: "B7", tell: altered(func(m d2m.ServerInfo) d2m.ServerInfo {
		m.SlotState ^= 1
		return m
	})},
	{name: "ServerInfo is lost", rule: "B7|B38", tell: without1(d2m.TypeServerInfo)},
	{name: "a device's times are wrong", rule: "B31", tell: altered(func(m d2m.DevicesInfo) d2m.DevicesInfo {
		m.Devices[0].Since++
		return m
	})},
	{name: "DropDeviceAck is lost", rule: "B25|B27|B15|B31|B32|B38|B45", tell: without1(d2m.TypeDropDeviceAck)},
	{name: "BeginTransactionAck before a Reflected", rule: "B24|B14", tell: swapped(d2m.TypeReflected, d2m.TypeBeginTransactionAck)},
	{name: "BeginTransactionAck is lost", rule: "B24|B10|B12|B27|B38", tell: without1(d2m.TypeBeginTransactionAck)},
	{name: "BeginTransactionAck comes twice", rule: "B24|B10|B12|B14|B27", tell: twice(d2m.TypeBeginTransactionAck)},
	{name: "TransactionRejected is lost", rule: "B15|B25|B31|B32|B38|B45", tell: without1(d2m.TypeTransactionRejected)},
	{name: "TransactionRejected comes twice", rule: "B15|B25|B27|B31|B32", tell: twice(d2m.TypeTransactionRejected)},
	{name: "TransactionRejected names another device", rule: "B25", tell: altered(func(m d2m.TransactionRejected) d2m.TransactionRejected {
		m.DeviceID ^= 2
		return m
	})},
	{name: "TransactionRejected has another scope", rule: "B25", tell: altered(func(m d2m.TransactionRejected) d2m.TransactionRejected {
		m.Scope = append([]byte{1}, m.Scope...)
		return m
	})},
	{name: "CommitTransactionAck before BeginTransactionAck", rule: "B24|B27", tell: swapped(d2m.TypeBeginTransactionAck, d2m.TypeCommitTransactionAck)},
	{name: "CommitTransactionAck is lost", rule: "B10|B12|B14|B15|B25|B27|B31|B32|B38|B45", tell: without1(d2m.TypeCommitTransactionAck)},
	{name: "CommitTransactionAck comes twice", rule: "B27|B15|B25|B31|B32", tell: twice(d2m.TypeCommitTransactionAck)},
	{name: "TransactionEnded before a Reflected", rule: "B14|B27", tell: swapped(d2m.TypeReflected, d2m.TypeTransactionEnded)},
	{name: "TransactionEnded after a Reflected", rule: "B14|B27", tell: swapped(d2m.TypeTransactionEnded, d2m.TypeReflected)},
	{name: "TransactionEnded is lost", rule: "B10|B12|B14|B24|B27|B38", tell: without1(d2m.TypeTransactionEnded)},
	{name: "TransactionEnded comes twice", rule: "B10|B12|B14|B24|B27", tell: twice(d2m.TypeTransactionEnded)},
	{name: "TransactionEnded has another scope", rule: "B27", tell: altered(func(m d2m.TransactionEnded) d2m.TransactionEnded {
		m.Scope = append([]byte{1}, m.Scope...)
		return m
	})},
	{name: "a close has another code", rule: "B45", tell: func(frames [][]byte, end *d2m.CloseCode) [][]byte {
		if end != nil {
			*end = d2m.CloseIdle
		}
		return frames
	}},
	{name: "a Reflected has a longer header", rule: "B40", tell: func(frames [][]byte, _ *d2m.CloseCode) [][]byte {
		return mapFrames(frames, d2m.TypeReflected, func(frame []byte) [][]byte {
			longer := slices.Insert(bytes.Clone(frame), d2m.HeaderSize+16, 0)
			longer[d2m.HeaderSize]++
			return [][]byte{longer}
		})
	}},
}

// mapFrames replaces the frames of one type.
func mapFrames(frames [][]byte, t d2m.Type, with func([]byte) [][]byte) (result [][]byte) {
	for _, frame := range frames {
		if d2m.Type(frame[0]) == t {
			result = append(result, with(frame)...)
		} else {
			result = append(result, frame)
		}
	}
	return result
}

func without1(t d2m.Type) func([][]byte, *d2m.CloseCode) [][]byte {
	return func(frames [][]byte, _ *d2m.CloseCode) [][]byte {
		return mapFrames(frames, t, func([]byte) [][]byte { return nil })
	}
}

func twice(t d2m.Type) func([][]byte, *d2m.CloseCode) [][]byte {
	return func(frames [][]byte, _ *d2m.CloseCode) [][]byte {
		return mapFrames(frames, t, func(frame []byte) [][]byte { return [][]byte{frame, frame} })
	}
}

// swapped exchanges two neighbours.
func swapped(first, second d2m.Type) func([][]byte, *d2m.CloseCode) [][]byte {
	return func(frames [][]byte, _ *d2m.CloseCode) [][]byte {
		frames = slices.Clone(frames)
		for i := 1; i < len(frames); i++ {
			if d2m.Type(frames[i-1][0]) == first && d2m.Type(frames[i][0]) == second {
				frames[i-1], frames[i] = frames[i], frames[i-1]
				break
			}
		}
		return frames
	}
}

// altered replaces all messages of one type.
func altered[M d2m.Message](with func(M) M) func([][]byte, *d2m.CloseCode) [][]byte {
	var m M
	return func(frames [][]byte, _ *d2m.CloseCode) [][]byte {
		return mapFrames(frames, m.Type(), func(frame []byte) [][]byte {
			message, _ := d2m.Parse(frame)
			return [][]byte{with(message.(M)).Append(nil)}
		})
	}
}

// TestModelNoticesLies checks that the model can fail: whatever a group does wrong is noticed in the first history in
// which it is done.
func TestModelNoticesLies(t *testing.T) {
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			_, err := l.told(t)
			if !regexp.MustCompile(`\b(` + l.rule + `):`).MatchString(err.Error()) {
				t.Errorf("noticed as: %v", err)
			}
		})
	}
}

// told plays histories until one has the lie in it, which has to fail.
func (l *lie) told(t *testing.T) (*history, error) {
	t.Helper()
	for seed := uint64(1); seed < 50; seed++ {
		h := newHistory(seed)
		told, times := false, 0
		h.alter = func(frames [][]byte, end *d2m.CloseCode) [][]byte {
			truth, code := bytes.Join(frames, nil), d2m.CloseCode(0)
			if end != nil {
				code = *end
			}
			frames = l.tell(frames, end)
			if !bytes.Equal(bytes.Join(frames, nil), truth) || end != nil && *end != code {
				times++
			}
			told = times > 0
			return frames
		}
		err := h.play(new(tally))
		switch {
		case told && err == nil && l.many && times < 10:
		case told && err == nil:
			t.Fatal("not noticed")
		case told:
			return h, err
		case err != nil:
			t.Fatalf("without a lie: %v", err)
		}
	}
	t.Fatal("never told")
	return nil, nil
}

// TestModelShrinks checks that what is shown of a history that fails is short, and fails.
func TestModelShrinks(t *testing.T) {
	h, _ := lies[0].told(t)
	short := h.shrink()
	if len(short) > 5 || len(short) >= len(h.ops) {
		t.Errorf("%d ops of %d are left", len(short), len(h.ops))
	}
	shown := h.transcript(short)
	if !regexp.MustCompile(`(?s)connects: device .* reflects .*FAILS: .*B\d+: `).MatchString(shown) {
		t.Errorf("transcript:\n%s", shown)
	}
}
