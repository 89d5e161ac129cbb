package devicegroup_test

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/devicegroup/model"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// playthrough is a history that is being played: the core on a store, and beside it the model, which is told of every
// event and judges what comes out.
type playthrough struct {
	plan    plan
	store   *memstore.Store
	group   *devicegroup.Group
	model   *model.Model
	now     time.Time
	full    bool
	crowded bool

	links     map[int]*link // by name
	alive     []*link       // in the order of their coming
	former    map[d2m.DeviceID][]d2m.ReflectedID
	highest   d2m.ReflectedID // of those seen, the one drawn last
	contested bool            // it was known that somebody waits to lead

	flight   *reflect.Batch
	messages map[position]*model.Message // those that were handed to the store
	serial   int                         // makes envelopes different
	notices  map[devicegroup.Notice]int

	out     devicegroup.Output
	blocked int                                                // how often a connection must not be read
	doubts  int                                                // how often the model could not judge
	alter   func(frames [][]byte, end *d2m.CloseCode) [][]byte // lies about what the core sends, or nil
	trace   *strings.Builder                                   // gets a transcript, or nil
}

// position is a message's number, or the number of the lock that it is deferred behind and its place there.
type position struct {
	lock  uint32
	place uint64
}

// link is a connection.
type link struct {
	name   int
	device d2m.DeviceID
	group  *devicegroup.Group
	core   *devicegroup.Conn
	model  *model.Conn

	slow      bool // it is seldom read
	awake     bool // Next may give something
	unread    bool // Written was not called for what was given
	writtenAt time.Time
	numbers   []d2m.ReflectedID
	acked     int // of numbers, in order
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
		messages: make(map[position]*model.Message),
		notices:  make(map[devicegroup.Notice]int),
		model: model.New(model.Config{
			MaxSlots:       pl.config.MaxSlots,
			VolatileExpiry: pl.config.VolatileExpiry,
			MaxAbsence:     pl.config.MaxAbsence,
			QueueMessages:  pl.config.QueueMessages,
			QueueBytes:     pl.config.QueueBytes,
			GroupBytes:     pl.config.GroupBytes,
			MaxTTL:         pl.config.MaxTTL,
			StagedBytes:    pl.config.StagedBytes,
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
	p.group.SetCrowded(p.crowded)
	p.flight, p.contested = nil, false
}

// run plays ops and then finishes.
func (p *playthrough) run(ops []op) error {
	for i, o := range ops {
		if err := p.do(o); err != nil {
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
	if p.model.Doubtful() {
		p.doubts++
		p.say("     (what becomes of that is not certain)")
		if err := p.crash(false, 0); err != nil {
			return err
		}
		maps.Copy(p.notices, p.wantNotices())
		return nil
	}
	if p.group.Failed() {
		return nil
	}
	if p.flight == nil && p.group.Needs() != devicegroup.NeedNow {
		if err := p.model.Shown(); err != nil {
			return err
		}
	}
	return p.checkProbe()
}

// checkNotices checks that an operator is told of what the model saw happen.
func (p *playthrough) checkNotices() error {
	for n, want := range p.wantNotices() {
		if p.notices[n] != want {
			return fmt.Errorf("B22: notice %d came %d times, and should have %d times", n, p.notices[n], want)
		}
	}
	return nil
}

// wantNotices returns how often an operator should have been told of what.
func (p *playthrough) wantNotices() map[devicegroup.Notice]int {
	want := make(map[devicegroup.Notice]int)
	for n, cases := range map[devicegroup.Notice][]model.Case{
		devicegroup.QueueHalfFull:   {model.HalfFull},
		devicegroup.QueueLimit:      {model.TooManyMessages, model.TooManyBytes},
		devicegroup.GroupLimit:      {model.GroupFull, model.StoreFull},
		devicegroup.SlotExpired:     {model.VolatileExpired, model.PersistentExpired},
		devicegroup.LeastRecentDrop: {model.LongestAway, model.LongestConnected},
		devicegroup.StagedLimit:     {model.StagedTooMuch, model.StagedCrowded},
	} {
		for _, c := range cases {
			want[n] += p.model.Reached(c)
		}
	}
	return want
}

// compare holds what the core says of itself against the model. It follows every op.
func (p *playthrough) compare() error {
	if got, want := p.group.Staged(), p.model.Staged(); p.model.CertainLock() && got != want {
		return fmt.Errorf("B26: %d bytes are staged, and should be %d", got, want)
	}
	if p.group.Failed() {
		return nil
	}
	if err := p.checkNotices(); err != nil {
		return err
	}
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
		unsent, unstored := p.model.Held(l.model)
		if unsent > devicegroup.MaxUnsent+d2m.MaxMessageSize || unstored > devicegroup.MaxUnstored+d2m.MaxMessageSize {
			return fmt.Errorf("B21: %d bytes of answers to c%d are held, and %d to be stored", unsent, l.name, unstored)
		}
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
	return p.push(l, frame)
}

// push lets a device send a frame that was read before it was known that the connection is not to be. It is left out if
// it is not certain what becomes of it.
func (p *playthrough) push(l *link, frame []byte) error {
	if p.links[l.name] != l {
		return nil
	}
	begins := len(frame) > 0 && d2m.Type(frame[0]) == d2m.TypeBeginTransaction
	if !p.model.CertainLock() && (begins || p.model.Committing(l.model)) {
		p.say("     (left out: whether there is a lock is not certain)")
		return nil
	}
	if p.trace != nil {
		p.say("     c%d sends %s", l.name, frameWords(frame))
	}
	p.model.Receive(p.now, l.model, frame)
	own := append([]byte{}, frame...)
	l.group.Receive(p.now, l.core, own)
	for i := range own {
		own[i] ^= 0xFF // the core must not have kept it
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

// close ends a connection as a server does that stops (B41).
func (p *playthrough) close(l *link) error {
	p.model.Close(p.now, l.model, d2m.CloseGoingAway)
	l.group.Close(p.now, l.core, devicegroup.Close{Code: d2m.CloseGoingAway, Reason: "server is stopping"})
	return p.after()
}

// written notes that a connection has written what it was given.
func (p *playthrough) written(l *link) error {
	if !l.unread {
		return nil
	}
	l.unread = false
	if l.writtenAt.IsZero() {
		l.writtenAt = p.now
	}
	p.model.Written(p.now, l.model)
	l.group.Written(p.now, l.core)
	return p.after()
}

// drained notes that a connection, as it thinks, has nothing more to take.
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
