package history

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestARunIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := NewRun()
		first, second := run.Device(1), run.Device(2)
		time.Sleep(time.Second)
		server := run.ServerStarted()
		first.Record(Event{Kind: Connected, Server: server, NewSlot: true})
		second.Record(Event{Kind: Connected, Server: server, NewSlot: true})
		time.Sleep(time.Second)
		first.Record(Event{Kind: Sent, ReflectID: 1, Content: ContentOf([]byte("a"))})
		time.Sleep(time.Second)
		first.Record(Event{Kind: Acked, ReflectID: 1, Timestamp: 100})
		run.ServerKilled(server)
		h := run.History([]*Recorder{first, second})

		first.Record(Event{Kind: Ended})
		if len(h.Devices[0].Events) != 3 {
			t.Error("a history changes after it was taken")
		}
		if e := h.Devices[0].Events[2]; e.Kind != Acked || e.At != 3*time.Second {
			t.Errorf("last event of device 1 is %+v, want an ack at 3 s", e)
		}
		if server != 1 || len(h.Servers) != 1 || h.Servers[0] != (Server{Killed: true, At: 3 * time.Second}) {
			t.Errorf("server %d of %+v, want one that was killed at 3 s", server, h.Servers)
		}
		if Check(h) == nil {
			t.Error("a history in which a message is missing was accepted")
		}
	})
}

func TestRejectsWhatIsNoHistory(t *testing.T) {
	for words, change := range map[string]func([]Event){
		"device 1 goes back in time":                       func(e []Event) { e[1].At = e[0].At - 1 },
		"device 1 has an event of no known kind":           func(e []Event) { e[1].Kind = 100 },
		"device 1 is connected to a server that never was": func(e []Event) { e[0].Server = 2 },
	} {
		t.Run(words, func(t *testing.T) {
			h := parse(t, alone)
			change(h.Devices[0].Events)
			rejectHistory(t, h, historyItself, words)
		})
	}
}
