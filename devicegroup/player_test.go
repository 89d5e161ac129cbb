package devicegroup_test

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

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
		case "ttl":
			p.config.MaxTTL = p.duration(value)
		case "group":
			p.config.GroupBytes = int64(p.number(value))
		case "staged":
			p.config.StagedBytes = p.number(value)
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
	case "begins":
		if !p.seal(false) {
			return []string{"nothing to be stored"}
		}
		return nil
	case "ends":
		p.answer(nil)
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
	case "begins":
		p.begins(d, arguments)
	case "commits":
		d.sends(d2m.CommitTransaction{})
	case "reflects-large":
		d.sends(d2m.Reflect{Envelope: make([]byte, p.number(arguments[0]))})
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

func (p *player) begins(d *device, arguments []string) {
	begin := d2m.BeginTransaction{Scope: []byte(arguments[0])}
	if len(arguments) > 1 {
		begin.TTL = uint32(p.duration(arguments[1]) / time.Second)
	}
	d.sends(begin)
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
