package client

import (
	"errors"
	"math"
	"testing"

	"openmediator/d2m"
)

// A reflect-id is not used again while it waits for its answer, also when the
// numbers begin anew.
func TestReflectIDsWrap(t *testing.T) {
	u := unanswered{nextID: math.MaxUint32}
	add := func() d2m.ReflectID {
		r := newRequest("reflect", d2m.TypeReflectAck)
		return u.add(r)[0].(d2m.Reflect).ID
	}
	if last, first := add(), add(); last != math.MaxUint32 || first != 0 {
		t.Fatalf("ids %d and %d", last, first)
	}
	u.nextID = math.MaxUint32
	if next := add(); next != 1 {
		t.Errorf("id %d is next while 2³²-1 and 0 are in use", next)
	}
}

func TestLoseFinishesAllOnce(t *testing.T) {
	var u unanswered
	requests := []*request{
		newRequest("reflect", d2m.TypeReflectAck),
		newRequest("drop", d2m.TypeDropDeviceAck, d2m.DropDevice{DeviceID: 1}),
	}
	for _, r := range requests {
		u.add(r)
	}
	reason := errors.New("gone")
	u.lose(reason)
	u.lose(reason)
	for _, r := range requests {
		<-r.done
		if !errors.Is(r.err, reason) {
			t.Errorf("%s: %v", r.name, r.err)
		}
	}
	if u.count() != 0 || u.answer(d2m.DropDeviceAck{DeviceID: 1}) {
		t.Error("a lost request still waits")
	}
}
