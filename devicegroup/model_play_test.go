package devicegroup_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/devicegroup/model"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// playthrough is a history that is being played: the core on a store, and the model beside it, which is told of every event and
// judges what comes out.
type playthrough struct {
	plan  plan
	store *memstore.Store
	group *devicegroup.Group
	model *model.Model
	now   time.Time
	full  bool

	links     map[int]*link // by name
	alive     []*link       // in the order of their coming
	former    map[d2m.DeviceID][]d2m.ReflectedID
	highest   d2m.ReflectedID // of those seen, the one drawn last
	contested bool            // it was known that somebody waits to lead

	flight   *reflect.Batch
	messages map[uint64]*model.Message // by number, those that were handed to the store
	serial   int                       // makes envelopes different
	notices  map[devicegroup.Notice]int

	out     devicegroup.Output
	blocked int                                                // how often a connection must not be read
	alter   func(frames [][]byte, end *d2m.CloseCode) [][]byte // lies about what the core sends, or nil
	trace   *strings.Builder                                   // gets a transcript, or nil
}

// link is a connection.
type link struct {
	name   int
	device d2m.DeviceID
	group  *devicegroup.Group
	core   *devicegroup.Conn
	model  *model.Conn

	slow    bool // it is seldom read
	awake   bool // Next may give something
	unread  bool // Written was not called for what was given
	numbers []d2m.ReflectedID
	acked   int // of numbers, in order
}

var (
	playGroup = d2m.GroupID{0xA5}
	playStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func newPlaythrough(pl plan) *playthrough {
	p := &playthrough{
		plan:     pl,
		store:    memstore.New(),
		now:      playStart,
		links:    make(map[int]*link),
		former:   make(map[d2m.DeviceID][]d2m.ReflectedID),
		messages: make(map[uint64]*model.Message),
		notices:  make(map[devicegroup.Notice]int),
		model: model.New(model.Config{
			MaxSlots:       pl.config.MaxSlots,
			VolatileExpiry: pl.config.VolatileExpiry,
			MaxAbsence:     pl.config.MaxAbsence,
			QueueMessages:  pl.config.QueueMessages,
			QueueBytes:     pl.config.QueueBytes,
			GroupBytes:     pl.config.GroupBytes,
		}, pl.drawn),
	}
	if pl.drawn > 0 {
		p.begin(pl.drawn)
	}
	p.highest = d2m.ReflectedID(pl.drawn)
	p.claim()
	return p
}

// begin stores a group without slots that has drawn numbers already.
func (p *playthrough) begin(drawn uint64) {
	snapshot := must(p.store.Claim(playGroup))
	state := reflect.State{Bound: drawn + 1}
	err := p.store.Commit([]*reflect.Batch{{Group: playGroup, Epoch: snapshot.Epoch, State: state.Append(nil)}})[0]
	must(0, err)
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// claim makes the core anew from what is stored.
func (p *playthrough) claim() {
	snapshot := must(p.store.Claim(playGroup))
	p.group = must(devicegroup.New(playGroup, p.plan.config, snapshot, p.now))
	p.group.SetFull(p.full)
	p.flight, p.contested = nil, false
}

// run plays ops and then finishes.
func (p *playthrough) run(ops []op) error {
	for i, o := range ops {
		if err := guard(func() error { return p.do(o) }); err != nil {
			return fmt.Errorf("op %d: %w", i, err)
		}
	}
	if err := guard(p.finish); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// guard makes a panic an error.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

func (p *playthrough) say(format string, args ...any) {
	if p.trace != nil {
		fmt.Fprintf(p.trace, format+"\n", args...)
	}
}

// after follows every event: it looks at all that shows of the group, and compares.
func (p *playthrough) after() error {
	for _, c := range p.group.Woken() {
		c.Handle.(*link).awake = true
	}
	for _, n := range p.group.Notices() {
		p.notices[n]++
	}
	if p.group.Failed() {
		return nil
	}
	if p.flight == nil && p.group.Needs() != devicegroup.NeedNow {
		if err := p.model.Shown(); err != nil {
			return err
		}
	}
	if err := p.checkProbe(); err != nil {
		return err
	}
	if err := p.checkNotices(); err != nil {
		return err
	}
	return p.compare()
}

// checkNotices checks that an operator is told of what the model saw happen.
func (p *playthrough) checkNotices() error {
	for n, cases := range map[devicegroup.Notice][]model.Case{
		devicegroup.QueueHalfFull:   {model.HalfFull},
		devicegroup.QueueLimit:      {model.TooManyMessages, model.TooManyBytes},
		devicegroup.GroupLimit:      {model.GroupFull, model.StoreFull},
		devicegroup.SlotExpired:     {model.VolatileExpired, model.PersistentExpired},
		devicegroup.LeastRecentDrop: {model.LongestAway, model.LongestConnected},
	} {
		want := 0
		for _, c := range cases {
			want += p.model.Reached(c)
		}
		if p.notices[n] != want {
			return fmt.Errorf("B22: notice %d came %d times, and should have %d times", n, p.notices[n], want)
		}
	}
	return nil
}

// compare holds what the core says of itself against the model.
func (p *playthrough) compare() error {
	if got, want := p.group.Slots(), len(p.model.Devices()); got != want {
		return fmt.Errorf("B7: group has %d slots, and should have %d", got, want)
	}
	messages, bytes := p.group.Waiting()
	wantMessages, wantBytes := p.model.Waiting()
	if messages != wantMessages || bytes != wantBytes {
		return fmt.Errorf("B17: %d messages of %d bytes wait, and %d of %d should", messages, bytes, wantMessages, wantBytes)
	}
	at, ok := p.group.Deadline()
	wantAt, wantOK := p.model.Deadline()
	if ok != wantOK || !at.Equal(wantAt) {
		return fmt.Errorf("B34: deadline is %v, %v, and should be %v, %v", at, ok, wantAt, wantOK)
	}
	for _, l := range p.alive {
		if l.group != p.group {
			continue
		}
		if got, want := l.core.Registered(), l.model.Registered(); got != want {
			return fmt.Errorf("B9: c%d has a slot: %v, and should: %v", l.name, got, want)
		}
		if got, want := p.group.Leader() == l.core, p.model.Leads(l.model); got != want {
			return fmt.Errorf("B12: c%d leads: %v, and should: %v", l.name, got, want)
		}
	}
	return nil
}

// checkProbe checks that the leader is looked at whenever another one begins to wait, and nobody else ever (B13). One
// look too many, where in the same event nobody waits any more, does no harm.
func (p *playthrough) checkProbe() error {
	probe := p.group.Probe()
	began := p.model.Contested() && !p.contested
	p.contested = p.model.Contested()
	switch {
	case probe == nil && began:
		return errors.New("B13: nobody is to be looked at, and another device waits to lead")
	case probe != nil && !p.model.Leads(probe.Handle.(*link).model):
		return errors.New("B13: a connection is to be looked at that does not lead")
	}
	return nil
}

// connect registers a device. On a group that is dead it is refused.
func (p *playthrough) connect(name int, hello d2m.ClientHello) (*link, error) {
	l := &link{name: name, device: hello.DeviceID, group: p.group}
	l.model = p.model.Connect(p.now, hello)
	own := hello
	own.DeviceInfo = append([]byte{}, hello.DeviceInfo...)
	l.core = p.group.Register(p.now, &own)
	l.core.Handle = l
	p.links[name] = l
	p.alive = append(p.alive, l)
	return l, p.after()
}

// receive lets a device send a frame, unless its connection must not be read.
func (p *playthrough) receive(l *link, frame []byte) error {
	if l.core.Blocked() {
		p.blocked++
		p.say("     (not read)")
		return nil
	}
	p.say("     c%d sends %s", l.name, frameWords(frame))
	p.model.Receive(p.now, l.model, frame)
	own := append([]byte{}, frame...)
	l.group.Receive(p.now, l.core, own)
	for i := range own {
		own[i] ^= 0xFF // the core must not have kept it
	}
	if unsent := l.model.Unsent(); unsent > devicegroup.MaxUnsent+d2m.MaxMessageSize {
		return fmt.Errorf("B21: %d bytes of answers wait for one connection", unsent)
	}
	return p.after()
}

func frameWords(frame []byte) string {
	message, err := d2m.Parse(frame)
	if err != nil {
		return fmt.Sprintf("what is no message (%v)", err)
	}
	return model.Words(message)
}

// end is the end of a connection.
func (p *playthrough) end(l *link) error {
	p.model.End(p.now, l.model)
	l.group.End(p.now, l.core)
	delete(p.links, l.name)
	for i := range p.alive {
		if p.alive[i] == l {
			p.alive = append(p.alive[:i], p.alive[i+1:]...)
			break
		}
	}
	if len(l.numbers) > 0 {
		p.former[l.device] = l.numbers
	}
	return p.after()
}

// next lets a connection take what is there for it. It reports whether there was anything.
func (p *playthrough) next(l *link, written bool) (bool, error) {
	ahead, stream, end := p.model.Ready(l.model)
	l.group.Next(l.core, &p.out)
	if p.out.Empty() {
		l.awake = false
		if ahead+stream > 0 || end {
			return false, fmt.Errorf("B38: c%d gets nothing, and is owed %d answers, %d of the stream, an end: %v",
				l.name, ahead, stream, end)
		}
		return false, nil
	}
	if !l.awake {
		return true, fmt.Errorf("B38: something is there for c%d, and nobody was told", l.name)
	}
	frames, err := p.frames(l)
	if err != nil {
		return true, err
	}
	if err := p.observe(l, frames, ahead, stream, end); err != nil {
		return true, err
	}
	if p.out.Close != nil {
		return true, p.end(l)
	}
	l.unread = true
	if written {
		return true, p.written(l)
	}
	return true, nil
}

// frames cuts up what Next gave, and reads what it wants to be read.
func (p *playthrough) frames(l *link) (frames [][]byte, err error) {
	if len(p.out.Fetch) > 0 {
		err = p.store.Read(playGroup, l.group.Epoch(), p.out.Fetch, func(_ int, record []byte) error {
			return p.out.AppendReflected(record)
		})
		if err != nil {
			return nil, fmt.Errorf("B15: a message for c%d is not stored: %w", l.name, err)
		}
	}
	start := 0
	for _, end := range p.out.Ends {
		frames = append(frames, p.out.Data[start:end:end])
		start = end
	}
	if start > devicegroup.MaxUnsent+3*d2m.MaxMessageSize {
		return nil, fmt.Errorf("B21: %d bytes are handed to c%d at once", start, l.name)
	}
	return frames, nil
}

// observe shows the model what a connection gets, and checks that it is something of everything that is owed.
func (p *playthrough) observe(l *link, frames [][]byte, ahead, stream int, end bool) error {
	var code *d2m.CloseCode
	if p.out.Close != nil {
		code = &p.out.Close.Code
	}
	if p.alter != nil {
		frames = p.alter(frames, code)
	}
	for _, frame := range frames {
		p.say("     c%d gets %s", l.name, frameWords(frame))
		if err := p.model.Observe(l.model, frame); err != nil {
			return fmt.Errorf("c%d: %w", l.name, err)
		}
		switch message, _ := d2m.Parse(frame); message := message.(type) {
		case d2m.Reflected:
			l.numbers = append(l.numbers, message.ID)
			if uint32(message.ID-p.highest) < 1<<31 {
				p.highest = message.ID
			}
			stream = 0
		case d2m.ReflectionQueueDry, d2m.RolePromotedToLeader:
			stream = 0
		default:
			ahead = 0
		}
	}
	if code != nil {
		p.say("     c%d is closed with %d", l.name, *code)
		if err := p.model.ObserveClose(l.model, *code); err != nil {
			return fmt.Errorf("c%d: %w", l.name, err)
		}
		end = false
	}
	if ahead+stream > 0 || end {
		return fmt.Errorf("B38: c%d is owed %d answers, %d of the stream, an end: %v, and gets none", l.name, ahead, stream, end)
	}
	return nil
}

// written notes that a connection has written what it was given.
func (p *playthrough) written(l *link) error {
	if !l.unread {
		return nil
	}
	l.unread = false
	p.model.Written(p.now, l.model)
	l.group.Written(p.now, l.core)
	return p.after()
}

// drained notes that a connection has nothing more to take. If somebody else could have been faster, it is left out
// where it is not certain what the core knows.
func (p *playthrough) drained(l *link) error {
	p.model.Drained(p.now, l.model)
	l.group.Drained(p.now, l.core)
	return p.after()
}

// acknowledge sends a ReflectedAck, if it is certain what follows from it.
func (p *playthrough) acknowledge(l *link, id d2m.ReflectedID) error {
	if !p.model.CertainAck(id) {
		return nil
	}
	frame := d2m.ReflectedAck{ID: id}.Append(nil)
	if id%3 == 0 {
		frame[d2m.HeaderSize] = 8 // an app does that
	}
	return p.receive(l, frame)
}

// reflect sends n messages.
func (p *playthrough) reflect(l *link, o op) error {
	for range o.n {
		if p.links[l.name] != l {
			return nil
		}
		p.serial++
		envelope := make([]byte, o.size)
		copy(envelope, fmt.Sprintf("m%d.", p.serial))
		if err := p.receive(l, reflectFrame(o, envelope)); err != nil {
			return err
		}
	}
	return nil
}

func reflectFrame(o op, envelope []byte) []byte {
	var header []byte
	flags := uint16(0)
	switch o.mode {
	case reflectEphemeral:
		flags = d2m.FlagEphemeral
	case reflectOtherFlags:
		flags = ^d2m.FlagEphemeral
	case reflectLongHeader:
		header = []byte{1, 2, 3}
	}
	frame := []byte{byte(d2m.TypeReflect), 1, 2, 3, byte(8 + len(header)), 7}
	frame = binary.LittleEndian.AppendUint16(frame, flags)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(o.id))
	return append(append(frame, header...), envelope...)
}
