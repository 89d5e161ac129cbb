package devicegroup_test

import (
	"slices"
	"testing"

	"openmediator/d2m"
)

func TestB40_WhatCannotBeUnderstoodEndsThatConnection(t *testing.T) {
	longest := d2m.Reflect{Envelope: make([]byte, d2m.MaxEnvelopeSize)}.Append(nil)
	for _, test := range []struct {
		name  string
		frame []byte
	}{
		{"nothing", nil},
		{"half a container", []byte{0x80, 0, 0}},
		{"an unknown type", []byte{0x7f, 0, 0, 0}},
		{"a reflect without a header", []byte{0x80, 0, 0, 0}},
		{"a reflect with a short header", []byte{0x80, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0}},
		{"a reflect whose header runs past the end", []byte{0x80, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0}},
		{"an envelope that is too large", append(slices.Clone(longest), 0)},
		{"a message that is too large", append(slices.Clone(longest), make([]byte, 9)...)},
		{"a reflected ack that is too long", []byte{0x83, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}},
		{"no protobuf", []byte{0x32, 0, 0, 0, 0xff}},
		{"a second ClientHello", d2m.ClientHello{}.Append(nil)},
		{"a ServerInfo", d2m.ServerInfo{}.Append(nil)},
		{"a Reflected", d2m.Reflected{}.Append(nil)},
		{"a ReflectAck", d2m.ReflectAck{}.Append(nil)},
		{"a RolePromotedToLeader", d2m.RolePromotedToLeader{}.Append(nil)},
		{"a DevicesInfo", d2m.DevicesInfo{}.Append(nil)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			b.sendsBytes(test.frame)
			b.receives("closed 4010")
			b.sends(d2m.GetDevicesInfo{})
			b.receives()
			a.reflects("goes on")
			s.commit()
			a.receives("ReflectAck goes on")
			s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 goes on", "ReflectionQueueDry")
		})
	}
}

// Reserved bytes and longer headers are no errors.
func TestB40_WhatIsUnderstood(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	for _, frame := range [][]byte{
		{0x80, 1, 2, 3, 8, 9, 0, 0, 1, 0, 0, 0, 'x'},
		{0x80, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0xaa, 0xbb, 'y'},
		{0x80, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0},
		d2m.Reflect{Envelope: make([]byte, d2m.MaxEnvelopeSize)}.Append(nil),
		{0x30, 9, 9, 9},
	} {
		a.sendsBytes(frame)
	}
	s.commit()
	a.takes()
	if !a.conn.Registered() {
		t.Error("the connection was ended")
	}
	var sizes []int
	for _, r := range of[d2m.Reflected](b.takes()) {
		sizes = append(sizes, len(r.Envelope))
	}
	if want := []int{1, 1, 0, d2m.MaxEnvelopeSize}; !slices.Equal(sizes, want) {
		t.Errorf("envelopes of %v bytes, want %v", sizes, want)
	}
}

func TestB40_WhatWasAskedBeforeIsAnswered(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("hello")
	a.sendsBytes([]byte{0xff})
	a.reflects("ignored")
	s.commit()
	a.receives("ReflectAck hello", "closed 4010")
	b.receives("Reflected 1 hello", "RolePromotedToLeader")
}
