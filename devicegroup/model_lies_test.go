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
	tell func(frames [][]byte, end *d2m.CloseCode) [][]byte
}

var lies = []lie{
	{"a Reflected is lost", "B10|B14|B38", without1(d2m.TypeReflected)},
	{"a Reflected comes twice", "B14|B10|B12|B18", twice(d2m.TypeReflected)},
	{"two Reflected change places", "B14", swapped(d2m.TypeReflected, d2m.TypeReflected)},
	{"an envelope is altered", "B14|B10", altered(func(m d2m.Reflected) d2m.Reflected {
		m.Envelope = append([]byte{'x'}, m.Envelope...)
		return m
	})},
	{"the flag of an ephemeral is lost", "B14|B10", altered(func(m d2m.Reflected) d2m.Reflected {
		m.Flags = 0
		return m
	})},
	{"all have the same number", "B14|B18", altered(func(m d2m.Reflected) d2m.Reflected {
		m.ID = 4711
		return m
	})},
	{"numbers go down", "B14|B18", altered(func(m d2m.Reflected) d2m.Reflected {
		m.ID = -m.ID
		return m
	})},
	{"a Reflected has another time", "B15", altered(func(m d2m.Reflected) d2m.Reflected {
		m.Timestamp--
		return m
	})},
	{"a ReflectAck has another time", "B15", altered(func(m d2m.ReflectAck) d2m.ReflectAck {
		m.Timestamp++
		return m
	})},
	{"a ReflectAck is for another Reflect", "B15|B31|B32", altered(func(m d2m.ReflectAck) d2m.ReflectAck {
		m.ID++
		return m
	})},
	{"a ReflectAck is lost", "B15|B31|B32|B38|B45", without1(d2m.TypeReflectAck)},
	{"a ReflectAck comes twice", "B15|B31|B32", twice(d2m.TypeReflectAck)},
	{"ReflectionQueueDry is lost", "B10|B38", without1(d2m.TypeReflectionQueueDry)},
	{"leader before the queue is dry", "B10", swapped(d2m.TypeReflectionQueueDry, d2m.TypeRolePromotedToLeader)},
	{"leader twice", "B12|B14", twice(d2m.TypeRolePromotedToLeader)},
	{"the queue's length is wrong", "B7", altered(func(m d2m.ServerInfo) d2m.ServerInfo {
		m.ReflectionQueueLength++
		return m
	})},
	{"the slot's state is wrong", "B7", altered(func(m d2m.ServerInfo) d2m.ServerInfo {
		m.SlotState ^= 1
		return m
	})},
	{"ServerInfo is lost", "B7|B38", without1(d2m.TypeServerInfo)},
	{"a device's times are wrong", "B31", altered(func(m d2m.DevicesInfo) d2m.DevicesInfo {
		m.Devices[0].Since++
		return m
	})},
	{"DropDeviceAck is lost", "B15|B31|B32|B38|B45", without1(d2m.TypeDropDeviceAck)},
	{"a close has another code", "B45", func(frames [][]byte, end *d2m.CloseCode) [][]byte {
		if end != nil {
			*end = d2m.CloseIdle
		}
		return frames
	}},
	{"a Reflected has a longer header", "B40", func(frames [][]byte, _ *d2m.CloseCode) [][]byte {
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
		told := false
		h.alter = func(frames [][]byte, end *d2m.CloseCode) [][]byte {
			truth, code := bytes.Join(frames, nil), d2m.CloseCode(0)
			if end != nil {
				code = *end
			}
			frames = l.tell(frames, end)
			told = told || !bytes.Equal(bytes.Join(frames, nil), truth) || end != nil && *end != code
			return frames
		}
		err := h.play(new(tally))
		switch {
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
