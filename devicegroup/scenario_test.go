package devicegroup_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

var rewrite = flag.Bool("rewrite", false, "write what scenarios print into their files, to be read in the diff")

// TestScenarios plays the scripts in testdata/scenarios. A line that is not indented is a command, what is indented
// below it is what happens then, and # begins a comment; the ones at the head name the rules that the script shows.
//
//	connect A new …     a device comes; words behind: existing, volatile, drop-least-recent, info=TEXT. A2 is a second
//	                    connection of device A
//	join A B …          new devices come and take all that is there for them; A leads
//	A receives          the connection takes all that is there for it; until then it reads nothing
//	A reflect TEXT …    one message for each TEXT; A ephemeral TEXT … likewise
//	A ack TEXT …        acknowledges the messages that came with TEXT, or the number given as #N
//	A devices           asks for DevicesInfo; A drop B and A share TEXT likewise
//	A send HEX          the bytes of a message
//	A end               the connection ends
//	commit              stores what is urgent; commit all also what can wait; commit fails, commit fenced: it does not work
//	crash               the server is killed and starts again
//	clock +1m           time passes, and what is due is done; clock -1h sets the clock back
//	leader              who leads
//	store               what is stored
//
// Settings stand in a first command: config slots=2 queue=3 tail=0 absence=24h.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			played := play(t, string(script))
			switch {
			case played == string(script):
			case *rewrite:
				if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s: first difference in line %s\nrun with -rewrite and read the diff", file, difference(string(script), played))
			}
		})
	}
}

// difference shows the first line in which a script and what was played differ.
func difference(script, played string) string {
	want, got := strings.Split(script, "\n"), strings.Split(played, "\n")
	for i := range want {
		if i >= len(got) || want[i] != got[i] {
			return fmt.Sprintf("%d\n got: %s\nwant: %s", i+1, strings.Join(got[min(i, len(got)):min(i+3, len(got))], "\n      "), want[i])
		}
	}
	return fmt.Sprintf("%d\n got: %s\nwant: the end", len(want), strings.Join(got[len(want):], "\n      "))
}

// play carries out a script and returns it with what happens.
func play(t *testing.T, script string) string {
	var out bytes.Buffer
	p := player{scene: newScene(t), connections: make(map[string]*device)}
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, " ") {
			continue
		}
		out.WriteString(line)
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			for _, happened := range p.command(words) {
				fmt.Fprintf(&out, "    %s\n", happened)
			}
		}
	}
	return out.String()
}

// player carries out the commands of one script.
type player struct {
	*scene
	connections map[string]*device
}

// command carries out a command and returns what happens, line by line.
func (p *player) command(words []string) []string {
	switch words[0] {
	case "config":
		p.configure(words[1:])
		p.claim()
	case "connect":
		p.connections[words[1]] = p.connect(words[1], p.helloEdits(words[2:])...)
	case "join":
		for _, d := range p.join(words[1:]...) {
			p.connections[d.name] = d
		}
	case "commit":
		return p.commitAs(words[1:])
	case "crash":
		p.crash()
	case "clock":
		return p.clock(words[1])
	case "leader":
		return []string{"leader: " + cmp.Or(p.leader(), "nobody")}
	case "store":
		return p.contents()
	default:
		return p.connectionDoes(words)
	}
	return nil
}

func (p *player) configure(settings []string) {
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		switch name {
		case "slots":
			p.config.MaxSlots = p.number(value)
		case "queue":
			p.config.QueueMessages = p.number(value)
		case "tail":
			p.config.TailBytes = p.number(value)
		case "absence":
			p.config.MaxAbsence = p.duration(value)
		default:
			p.t.Fatalf("config %s: unknown", setting)
		}
	}
}

func (p *player) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *player) duration(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) helloEdits(words []string) (edits []func(*d2m.ClientHello)) {
	for _, word := range words {
		info, isInfo := strings.CutPrefix(word, "info=")
		switch {
		case isInfo:
			edits = append(edits, withInfo(info))
		case word == "new":
			edits = append(edits, isNew)
		case word == "volatile":
			edits = append(edits, isVolatile)
		case word == "drop-least-recent":
			edits = append(edits, dropLeastRecent)
		case word != "existing":
			p.t.Fatalf("connect %s: unknown", word)
		}
	}
	return edits
}

func (p *player) commitAs(words []string) []string {
	before := p.last
	switch strings.Join(words, " ") {
	case "":
		p.commit()
	case "all":
		p.commitAll()
	case "fails":
		p.commitFails(errNoDisk)
		p.claim()
		return nil
	case "fenced":
		p.commitFails(reflect.ErrFenced)
		p.claim()
		return nil
	default:
		p.t.Fatalf("commit %v: unknown", words)
	}
	if p.last == before {
		return []string{"nothing to be stored"}
	}
	return nil
}

func (p *player) clock(word string) []string {
	p.tick(p.duration(strings.TrimPrefix(word, "+")))
	return []string{"it is " + clockTime(uint64(p.now.UnixMilli()))}
}

func clockTime(milliseconds uint64) string {
	return time.UnixMilli(int64(milliseconds)).UTC().Format("15:04:05.999")
}

// contents describes what is stored.
func (p *player) contents() []string {
	state, snapshot := p.stored()
	if snapshot.State == nil && len(snapshot.Messages) == 0 && len(snapshot.Blobs) == 0 {
		return []string{"nothing is stored"}
	}
	var lines []string
	for _, slot := range state.Slots {
		lines = append(lines, fmt.Sprintf("slot %c %v", 'A'+rune(slot.Device-10), slot.Expiration))
	}
	for _, m := range snapshot.Messages {
		lines = append(lines, fmt.Sprintf("message %d from %c", m.Place, 'A'+rune(m.Sender-10)))
	}
	return lines
}

// connectionDoes carries out a command that begins with the name of a connection.
func (p *player) connectionDoes(words []string) (happened []string) {
	d := p.connections[words[0]]
	if d == nil || len(words) < 2 {
		p.t.Fatalf("%v: there is no such command or connection", words)
	}
	arguments := words[2:]
	switch words[1] {
	case "receives":
		for _, r := range d.takes() {
			happened = append(happened, d.line(r)+details(r))
		}
		if happened == nil {
			happened = []string{"nothing"}
		}
	case "reflect":
		d.reflects(arguments...)
	case "ephemeral":
		d.reflectsEphemeral(arguments...)
	case "ack":
		p.acknowledges(d, arguments)
	case "devices":
		d.sends(d2m.GetDevicesInfo{})
	case "drop":
		d.drops(arguments[0])
	case "share":
		d.sends(d2m.SetSharedDeviceData{Data: []byte(strings.Join(arguments, " "))})
	case "send":
		d.sendsBytes(p.hex(arguments))
	case "end":
		d.ends()
	default:
		p.t.Fatalf("%v: unknown", words)
	}
	return happened
}

func (p *player) hex(words []string) (frame []byte) {
	for _, word := range words {
		b, err := strconv.ParseUint(word, 16, 8)
		if err != nil {
			p.t.Fatal(err)
		}
		frame = append(frame, byte(b))
	}
	return frame
}

func (p *player) acknowledges(d *device, texts []string) {
	for _, text := range texts {
		if number, isNumber := strings.CutPrefix(text, "#"); isNumber {
			d.sends(d2m.ReflectedAck{ID: d2m.ReflectedID(p.number(number))})
			continue
		}
		for _, other := range p.connections { // some acknowledge here what came there (d2m.md, in the wild, 16)
			if other.id == d.id {
				maps.Copy(d.given, other.given)
			}
		}
		d.acks(text)
	}
}

// details is what a scenario shows beside device.line.
func details(r received) string {
	switch m := r.message.(type) {
	case nil:
		return ": " + r.end.Code.String()
	case d2m.Reflected:
		return " at " + clockTime(m.Timestamp)
	case d2m.ReflectAck:
		return " at " + clockTime(m.Timestamp)
	case d2m.DevicesInfo:
		var list []string
		for _, info := range m.Devices {
			list = append(list, deviceDetails(info))
		}
		return " " + strings.Join(list, "; ")
	}
	return ""
}

func deviceDetails(info d2m.DeviceInfo) string {
	state := "away since"
	if info.Connected {
		state = "connected since"
	}
	return fmt.Sprintf("%c %v %q %s %s", 'A'+rune(info.ID-10), info.Expiration, info.Info, state, clockTime(info.Since))
}
