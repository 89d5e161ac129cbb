package devicegroup_test

import (
	"fmt"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// scene is one device group with its store, its clock and its devices. It drives the core as the server does, but
// nothing happens by itself: a test says when something is stored, when a device reads, and what the time is.
type scene struct {
	t      testing.TB
	config devicegroup.Config
	store  *memstore.Store
	group  *devicegroup.Group
	now    time.Time

	connections []*device
	flight      *reflect.Batch // sealed, and the store has not answered
	last        *reflect.Batch // the last one that was stored
	notices     []devicegroup.Notice
	fetched     int // messages that were read from the store
}

var (
	sceneGroup = d2m.GroupID{9}
	noon       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// newScene starts at noon with an empty store. edit changes settings from their defaults.
func newScene(t testing.TB, edit ...func(*devicegroup.Config)) *scene {
	s := &scene{t: t, config: devicegroup.DefaultConfig(), store: memstore.New(), now: noon}
	for _, e := range edit {
		e(&s.config)
	}
	s.claim()
	return s
}

func slots(n int) func(*devicegroup.Config) {
	return func(c *devicegroup.Config) { c.MaxSlots = n }
}

// claim begins with what is stored, and nothing else.
func (s *scene) claim() {
	s.t.Helper()
	snapshot, err := s.store.Claim(sceneGroup)
	if err != nil {
		s.t.Fatalf("claim: %v", err)
	}
	if s.group, err = devicegroup.New(sceneGroup, s.config, snapshot, s.now); err != nil {
		s.t.Fatalf("group: %v", err)
	}
	s.flight = nil
}

// stored returns what a claim would find now.
func (s *scene) stored() (*reflect.State, *reflect.Snapshot) {
	s.t.Helper()
	snapshot, err := s.store.Clone().Claim(sceneGroup)
	if err != nil {
		s.t.Fatalf("claim: %v", err)
	}
	state, err := reflect.ParseState(snapshot.State)
	if err != nil {
		s.t.Fatalf("state: %v", err)
	}
	return state, snapshot
}

// crash ends the server without a word and starts it anew.
func (s *scene) crash() {
	s.t.Helper()
	for _, d := range s.connections {
		d.gone = true
	}
	s.connections = nil
	s.store = s.store.Clone()
	s.claim()
}

// pass lets time go by; a negative d is a clock that is set back.
func (s *scene) pass(d time.Duration) { s.now = s.now.Add(d) }

// tick lets time go by and does what is due then.
func (s *scene) tick(d time.Duration) {
	s.pass(d)
	s.group.Tick(s.now)
	s.after()
}

// seal hands the next batch to the store, which does not answer yet. It reports whether there was one.
func (s *scene) seal(all bool) bool {
	b := s.group.Seal(s.now, all)
	if b != nil {
		s.flight = b
	}
	return b != nil
}

// answer carries out the batch that was sealed, or lets it fail with fail.
func (s *scene) answer(fail error) {
	s.t.Helper()
	b := s.flight
	s.store.Fail(func(memstore.Op, d2m.GroupID) error { return fail })
	err := s.store.Commit([]*reflect.Batch{b})[0]
	s.store.Fail(nil)
	if fail == nil && err != nil {
		s.t.Fatalf("commit: %v", err)
	}
	s.flight, s.last = nil, b
	s.group.Committed(s.now, b, err)
	s.after()
}

// commit stores all that does not wait for a while. It returns how many batches that took.
func (s *scene) commit() (batches int) {
	s.t.Helper()
	for s.group.Needs() == devicegroup.NeedNow {
		s.seal(false)
		s.answer(nil)
		if batches++; batches > 10 {
			s.t.Fatal("the group always wants something more to be stored")
		}
	}
	return batches
}

// commitAll stores what is lazy, too.
func (s *scene) commitAll() (batches int) {
	s.t.Helper()
	for s.seal(true) {
		s.answer(nil)
		if batches++; batches > 10 {
			s.t.Fatal("the group always wants something more to be stored")
		}
	}
	return batches
}

// commitFails lets the next commit fail.
func (s *scene) commitFails(err error) {
	s.t.Helper()
	if !s.seal(true) {
		s.t.Fatal("there is nothing to be stored")
	}
	s.answer(err)
}

// settle commits and lets every connection take what it gets, until nothing happens any more. What they took is lost.
func (s *scene) settle() {
	s.t.Helper()
	for busy := true; busy; {
		busy = s.commit() > 0
		for _, d := range s.connections {
			busy = len(d.takes()) > 0 || busy
		}
	}
}

// after follows every event.
func (s *scene) after() {
	for _, c := range s.group.Woken() {
		c.Handle.(*device).woken = true
	}
	s.notices = append(s.notices, s.group.Notices()...)
}

// noticed returns how often n was noticed.
func (s *scene) noticed(n devicegroup.Notice) (times int) {
	for _, seen := range s.notices {
		if seen == n {
			times++
		}
	}
	return times
}

// leader is the name of the connection that leads, or "".
func (s *scene) leader() string {
	if c := s.group.Leader(); c != nil {
		return c.Handle.(*device).name
	}
	return ""
}

// device is one connection of a device. Its name is the device's letter, and a number for a further connection of the
// same device: A, A2, A3.
type device struct {
	s     *scene
	group *devicegroup.Group
	name  string
	id    d2m.DeviceID
	conn  *devicegroup.Conn

	woken bool // Next may give something
	gone  bool // the connection is over

	lastID d2m.ReflectID
	sent   map[d2m.ReflectID]string   // texts of its Reflects
	given  map[string]d2m.ReflectedID // numbers of the texts that it got
}

func deviceID(name string) d2m.DeviceID { return d2m.DeviceID(name[0]-'A') + 10 }

// hello is a ClientHello of a device with this name: EXISTING, PERSISTENT, REJECT, its device info "info of" and its
// letter.
func hello(name string, edit ...func(*d2m.ClientHello)) *d2m.ClientHello {
	h := &d2m.ClientHello{
		DeviceID:   deviceID(name),
		Expiration: d2m.Persistent,
		Expected:   d2m.SlotExisting,
		DeviceInfo: []byte("info of " + name[:1]),
	}
	for _, e := range edit {
		e(h)
	}
	return h
}

func isNew(h *d2m.ClientHello)           { h.Expected = d2m.SlotNew }
func isVolatile(h *d2m.ClientHello)      { h.Expiration = d2m.Volatile }
func dropLeastRecent(h *d2m.ClientHello) { h.SlotsExhausted = d2m.DropLeastRecent }

func withInfo(info string) func(*d2m.ClientHello) {
	return func(h *d2m.ClientHello) { h.DeviceInfo = []byte(info) }
}

// connect registers a device.
func (s *scene) connect(name string, edit ...func(*d2m.ClientHello)) *device {
	d := &device{
		s: s, group: s.group, name: name, id: deviceID(name),
		sent: make(map[d2m.ReflectID]string), given: make(map[string]d2m.ReflectedID),
	}
	d.conn = s.group.Register(s.now, hello(name, edit...))
	d.conn.Handle = d
	s.connections = append(s.connections, d)
	s.after()
	return d
}

// join registers new devices, one after the other, and lets all settle: the first one leads.
func (s *scene) join(names ...string) []*device {
	s.t.Helper()
	var joined []*device
	for _, name := range names {
		joined = append(joined, s.connect(name, isNew))
		s.settle()
	}
	return joined
}

// pair is a group of two devices that have taken all there is.
func (s *scene) pair() (a, b *device) {
	s.t.Helper()
	devices := s.join("A", "B")
	return devices[0], devices[1]
}

func (d *device) sends(m d2m.Message) { d.sendsBytes(m.Append(nil)) }

func (d *device) sendsBytes(frame []byte) {
	d.group.Receive(d.s.now, d.conn, frame)
	d.s.after()
}

func (d *device) reflects(texts ...string) {
	for _, text := range texts {
		d.lastID++
		d.sent[d.lastID] = text
		d.sends(d2m.Reflect{ID: d.lastID, Envelope: []byte(text)})
	}
}

func (d *device) reflectsEphemeral(texts ...string) {
	for _, text := range texts {
		d.sends(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: []byte(text)})
	}
}

// acks acknowledges what came with these texts.
func (d *device) acks(texts ...string) {
	d.s.t.Helper()
	for _, text := range texts {
		number, came := d.given[text]
		if !came {
			d.s.t.Fatalf("%s acknowledges %q, which it never got", d.name, text)
		}
		d.sends(d2m.ReflectedAck{ID: number})
	}
}

func (d *device) drops(name string) { d.sends(d2m.DropDevice{DeviceID: deviceID(name)}) }

// ends is the end of the connection from the device's side or the network's.
func (d *device) ends() {
	d.gone = true
	d.group.End(d.s.now, d.conn)
	d.s.after()
}

// flush takes what one call of Next gives, and checks what holds for every output.
func (d *device) flush() (messages []d2m.Message, end *devicegroup.Close) {
	d.s.t.Helper()
	var out devicegroup.Output
	d.group.Next(d.conn, &out)
	if out.Empty() {
		d.woken = false
		return nil, nil
	}
	if !d.woken {
		d.s.t.Errorf("%s: something is to be sent, but nobody was told", d.name)
	}
	d.fetch(&out)
	messages = d.parse(&out.Frames)
	if end = out.Close; end != nil {
		if len(end.Reason) > d2m.MaxCloseReasonSize {
			d.s.t.Errorf("%s: close reason has %d bytes", d.name, len(end.Reason))
		}
		d.ends()
		return messages, end
	}
	d.group.Written(d.s.now, d.conn)
	d.s.after()
	return messages, nil
}

// fetch reads what Next wants to be read from the store.
func (d *device) fetch(out *devicegroup.Output) {
	d.s.t.Helper()
	if len(out.Fetch) == 0 {
		return
	}
	d.s.fetched += len(out.Fetch)
	err := d.s.store.Read(sceneGroup, d.group.Epoch(), out.Fetch, out.AppendFetched)
	if err != nil {
		d.s.t.Fatalf("%s: read: %v", d.name, err)
	}
}

func (d *device) parse(frames *devicegroup.Frames) (messages []d2m.Message) {
	d.s.t.Helper()
	start := 0
	for _, end := range frames.Ends {
		m, err := d2m.Parse(frames.Data[start:end])
		if err != nil {
			d.s.t.Fatalf("%s gets what is no message: %v", d.name, err)
		}
		if !m.Type().FromServer() {
			d.s.t.Errorf("%s gets a %v", d.name, m.Type())
		}
		if r, ok := m.(d2m.Reflected); ok {
			d.given[string(r.Envelope)] = r.ID
		}
		messages = append(messages, m)
		start = end
	}
	return messages
}

// received is a message or, with neither, the end of a connection.
type received struct {
	message d2m.Message
	end     *devicegroup.Close
}

// takes lets the connection have everything that is there for it, until it is dry.
func (d *device) takes() (all []received) {
	d.s.t.Helper()
	for !d.gone {
		messages, end := d.flush()
		for _, m := range messages {
			all = append(all, received{message: m})
		}
		switch {
		case end != nil:
			all = append(all, received{end: end})
		case len(messages) > 0:
		case d.conn.Dry():
			return all
		default:
			d.group.Drained(d.s.now, d.conn)
			d.s.after()
			if !d.woken {
				return all
			}
		}
	}
	return all
}

// receives takes everything that is there for the connection and compares it with lines as line writes them.
func (d *device) receives(want ...string) {
	d.s.t.Helper()
	var got []string
	for _, r := range d.takes() {
		got = append(got, d.line(r))
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		d.s.t.Fatalf("%s receives\n  %q\nwant\n  %q", d.name, got, want)
	}
}

// line describes what a device received, without times: "ServerInfo NEW, 0 waiting", "Reflected 1 hello", "ReflectAck
// hello", "closed 4113", and other messages by the name of their type.
func (d *device) line(r received) string {
	switch m := r.message.(type) {
	case nil:
		return fmt.Sprintf("closed %d", r.end.Code)
	case d2m.ServerInfo:
		line := fmt.Sprintf("ServerInfo %v, %d waiting", m.SlotState, m.ReflectionQueueLength)
		if len(m.SharedDeviceData) > 0 {
			line += fmt.Sprintf(", shared %s", m.SharedDeviceData)
		}
		return line
	case d2m.Reflected:
		line := fmt.Sprintf("Reflected %d %s", m.ID, m.Envelope)
		if m.Ephemeral() {
			line += " (ephemeral)"
		}
		return line
	case d2m.ReflectAck:
		return fmt.Sprintf("ReflectAck %s", d.sent[m.ID])
	case d2m.DropDeviceAck:
		return fmt.Sprintf("DropDeviceAck %c", rune('A'+m.DeviceID-10))
	case d2m.TransactionRejected:
		return fmt.Sprintf("TransactionRejected, %c holds the lock for %s", rune('A'+m.DeviceID-10), m.Scope)
	case d2m.TransactionEnded:
		return fmt.Sprintf("TransactionEnded, %c held the lock for %s", rune('A'+m.DeviceID-10), m.Scope)
	default:
		return m.Type().String()
	}
}

// of returns the messages of one type.
func of[M d2m.Message](all []received) (some []M) {
	for _, r := range all {
		if m, ok := r.message.(M); ok {
			some = append(some, m)
		}
	}
	return some
}

// waiting is how many messages wait in the group.
func (s *scene) waiting() int {
	messages, _ := s.group.Waiting()
	return messages
}
