package storetest

import (
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
)

func testReopen(t *testing.T, open Opener) {
	store, reopen := open(t)
	want := make(map[d2m.GroupID]content)
	for i := range 20 {
		group := groupOf(i)
		fill(t, store, group)
		want[group], _ = held(t, store, group)
	}
	old := claim(t, store, groupOf(3))
	for range 3 {
		before := store
		store = reopen()
		wantError(t, before, groupOf(3), old.Epoch, reflect.ErrUnavailable)
		for group, c := range want {
			expect(t, store, group, c)
		}
		countGroups(t, store, len(want))

		group := groupOf(7)
		epoch := claim(t, store, group).Epoch
		appendMessages(t, store, group, epoch, message(123))
		c := want[group]
		c.messages = append(c.messages, message(123))
		want[group] = c
	}
}
