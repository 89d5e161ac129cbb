package main

import (
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/csp"
)

// TestDemoWantsTheChatMessageAsItWasSent: whoever gets another one, or in another way, says so.
func TestDemoWantsTheChatMessageAsItWasSent(t *testing.T) {
	d := newDemo(nil, nil)
	d.patience = time.Minute
	var err error
	if d.alice, err = newDemoUser("ALICE001"); err != nil {
		t.Fatal(err)
	}
	first, further, stranger := newDemoDevice("first", d), newDemoDevice("further", d), newDemoDevice("stranger", d)
	sent := client.ChatMessage{Sender: d.alice.id, ID: 7, Kind: csp.KindText, Body: []byte("hello")}
	for _, test := range []struct {
		name   string
		by     *demoDevice
		change func(*client.ChatMessage)
		want   string // empty: it is due
	}{
		{"to the leader", nil, func(*client.ChatMessage) {}, ""},
		{"by the leader", first, func(m *client.ChatMessage) { m.Reflected, m.Device = true, first.id }, ""},
		{"another text", nil, func(m *client.ChatMessage) { m.Body = []byte("bye") }, `further saw the chat message "bye" where the chat message "hello" was due`},
		{"no text", nil, func(m *client.ChatMessage) { m.Kind = 0x80 }, "was due"},
		{"another sender", nil, func(m *client.ChatMessage) { m.Sender = csp.Identity{} }, "and Alice sent it"},
		{"another id", nil, func(m *client.ChatMessage) { m.ID = 8 }, "with id 0000000000000008, and Alice sent it with id 0000000000000007"},
		{"sent by the receiver", first, func(m *client.ChatMessage) { m.Reflected, m.Device, m.Outgoing = true, first.id, true }, "and Alice sent it"},
		{"reflected to the leader", nil, func(m *client.ChatMessage) { m.Reflected = true }, "and leads"},
		{"not reflected", first, func(*client.ChatMessage) {}, "not reflected by first"},
		{"reflected by another device", first, func(m *client.ChatMessage) { m.Reflected, m.Device = true, stranger.id }, "not reflected by first"},
	} {
		m := sent
		test.change(&m)
		if err := further.see(sawChat{m}); err != nil {
			t.Fatal(err)
		}
		err := further.expectChat(t.Context(), sent.ID, "hello", test.by)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want one that says %q", test.name, err, test.want)
		}
	}
	d.patience = time.Millisecond
	if err := further.expectChat(t.Context(), 7, "hello", nil); err == nil || !strings.Contains(err.Error(), "did not see") {
		t.Errorf("nothing: got %v", err)
	}
}
