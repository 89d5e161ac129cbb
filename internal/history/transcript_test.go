package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
)

// A transcript is a history as text. Each line is an event and takes 1 ms:
//
//	server                                  a server starts
//	kill                                    it is killed
//	wait DURATION
//	stall DURATION                          the server was kept from running
//	slow DURATION                           an ack of the server took so long
//	DEVICE connected [unsure] [new]         to the server that was started last
//	DEVICE sent NAME REFLECT-ID [ephemeral]
//	DEVICE acked REFLECT-ID TIMESTAMP
//	DEVICE received NAME ID TIMESTAMP [ephemeral]
//	DEVICE acksent ID
//	DEVICE asks | told                      GetDevicesInfo, DevicesInfo
//	DEVICE dry | promoted | ended [orderly] | dropped
//	DEVICE begins SCOPE
//	DEVICE begun                            BeginTransactionAck
//	DEVICE rejected HOLDER SCOPE
//	DEVICE commits
//	DEVICE committed                        CommitTransactionAck
//	DEVICE hears HOLDER SCOPE               TransactionEnded

// parse makes a history of a transcript.
func parse(t *testing.T, transcript string) *History {
	t.Helper()
	h := new(History)
	now := time.Duration(0)
	for line := range strings.Lines(transcript) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		now += time.Millisecond
		switch words[0] {
		case "server":
			h.Servers = append(h.Servers, Server{})
		case "kill":
			s := &h.Servers[len(h.Servers)-1]
			s.Killed, s.At = true, now
		case "wait", "stall", "slow":
			d, err := time.ParseDuration(words[1])
			if err != nil {
				t.Fatal(err)
			}
			switch words[0] {
			case "wait":
				now += d
			case "stall":
				h.Servers[len(h.Servers)-1].Stalled += d
			case "slow":
				h.Servers[len(h.Servers)-1].Slowest = d
			}
		default:
			e := parseEvent(t, words[1:])
			e.At = now
			if e.Kind == Connected {
				e.Server = len(h.Servers)
			}
			h.add(d2m.DeviceID(number(t, words[0])), e)
		}
	}
	return h
}

func (h *History) add(id d2m.DeviceID, e Event) {
	for d := range h.Devices {
		if h.Devices[d].ID == id {
			h.Devices[d].Events = append(h.Devices[d].Events, e)
			return
		}
	}
	h.Devices = append(h.Devices, Device{ID: id, Events: []Event{e}})
}

var kinds = map[string]Kind{
	"connected": Connected, "sent": Sent, "acked": Acked, "received": Received, "acksent": AckSent,
	"dry": Dry, "promoted": Promoted, "ended": Ended, "dropped": Dropped,
	"begins": BeginSent, "begun": BeginAcked, "rejected": Rejected,
	"asks": Asked, "told": Answered,
	"commits": CommitSent, "committed": CommitAcked, "hears": TransactionEnded,
}

// parseEvent parses a line without its device.
func parseEvent(t *testing.T, words []string) (e Event) {
	t.Helper()
	e.Kind = kinds[words[0]]
	arguments := words[1:]
	if last := len(arguments) - 1; last >= 0 {
		e.NewSlot, e.Orderly, e.Ephemeral = arguments[last] == "new", arguments[last] == "orderly", arguments[last] == "ephemeral"
	}
	switch e.Kind {
	case Connected:
		e.Unsure = slices.Contains(arguments, "unsure")
	case Sent:
		e.Content, e.ReflectID = contentOf(arguments[0]), d2m.ReflectID(number(t, arguments[1]))
	case Acked:
		e.ReflectID, e.Timestamp = d2m.ReflectID(number(t, arguments[0])), number(t, arguments[1])
	case Received:
		e.Content, e.ID = contentOf(arguments[0]), d2m.ReflectedID(number(t, arguments[1]))
		e.Timestamp = number(t, arguments[2])
	case AckSent:
		e.ID = d2m.ReflectedID(number(t, arguments[0]))
	case BeginSent:
		e.Content = contentOf(arguments[0])
	case Rejected, TransactionEnded:
		e.Holder, e.Content = d2m.DeviceID(number(t, arguments[0])), contentOf(arguments[1])
	case 0:
		t.Fatalf("transcript: no event is called %q", words[0])
	}
	return e
}

func contentOf(name string) Content { return ContentOf([]byte(name)) }

func number(t *testing.T, word string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// edit replaces whole lines of a transcript, all at once: old, new, old, new. Each old one must be there once; an empty new
// one removes it.
func edit(t *testing.T, transcript string, edits ...string) string {
	t.Helper()
	lines := strings.Split(transcript, "\n")
	edited := slices.Clone(lines)
	for i := 0; i < len(edits); i += 2 {
		is := func(line string) bool { return strings.TrimSpace(line) == edits[i] }
		first := slices.IndexFunc(lines, is)
		if first < 0 || slices.ContainsFunc(lines[first+1:], is) {
			t.Fatalf("transcript: does not have the line %q exactly once", edits[i])
		}
		edited[first] = edits[i+1]
	}
	return strings.Join(edited, "\n")
}

// accept fails the test if a transcript is rejected.
func accept(t *testing.T, transcript string) {
	t.Helper()
	if err := Check(parse(t, transcript)); err != nil {
		t.Error(err)
	}
}

// historyItself stands for no rule: a history that contradicts itself.
const historyItself = 0

// reject fails the test unless a transcript is rejected for a rule, by its number, with some words.
func reject(t *testing.T, transcript string, rule int, words string) {
	t.Helper()
	rejectHistory(t, parse(t, transcript), rule, words)
}

func rejectHistory(t *testing.T, h *History, rule int, words string) {
	t.Helper()
	want := fmt.Sprintf("B%d: ", rule)
	if rule == historyItself {
		want = "history: "
	}
	err := Check(h)
	if err == nil {
		t.Fatalf("accepted, want: %s… %s", want, words)
	}
	sentence, _, _ := strings.Cut(err.Error(), "\n")
	if !strings.HasPrefix(sentence, want) || !strings.Contains(sentence, words) {
		t.Errorf("rejected with\n%v\nwant: %s… %s", err, want, words)
	}
}
