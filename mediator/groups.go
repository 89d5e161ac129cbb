package mediator

import (
	"errors"
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

const (
	// retryAfter is when a group is claimed again for its deadlines after the store has failed.
	retryAfter = time.Minute

	// lostInterval is between two lines in the log about the lost ephemerals of a group.
	lostInterval = time.Minute
)

// groups are the device groups that are in use: connected to, or with something left to be stored.
type groups struct {
	server    *Server
	committer *reflect.Committer
	alarms    *alarms

	// committer
	woken []*conn // by the store's answer for a group
	out   devicegroup.Output

	mu    sync.Mutex
	inUse map[d2m.GroupID]*group
}

// group is the place of a device group in the server. Whoever holds its lock owns the group.
type group struct {
	groups *groups
	id     d2m.GroupID

	users int // guarded by groups.mu: connections and others that need it; at 0 it is given up

	mu     sync.Mutex
	core   *devicegroup.Group // nil until claimed, and again when it has failed
	flight *devicegroup.Group // whose batch is with the committer
	urgent bool               // added to the committer
	lazy   bool               // added to the committer as what can wait
	tail   int                // bytes in memory, as counted by the server
	staged int                // bytes staged, as counted by the server
	alarm  time.Time          // when the alarm rings

	waiters []waiter // for what the operator has done to be stored

	lost     int       // ephemerals, that the log has not told of
	lostTold time.Time // when it did last
}

func newGroups(s *Server) *groups {
	gs := &groups{server: s, committer: reflect.NewCommitter(measuredStore{s.store, &s.counters}), inUse: make(map[d2m.GroupID]*group)}
	gs.alarms = newAlarms(gs.tick)
	return gs
}

// restoreAlarms sets the alarms of the groups that are stored: slots expire in a group that nobody visits, too (B34).
func (gs *groups) restoreAlarms() error {
	s := gs.server
	return s.store.Groups(func(id d2m.GroupID, state []byte) error {
		at, ok, err := devicegroup.StoredDeadline(s.config().Group, state, s.leftAt())
		switch {
		case err != nil:
			s.logUnreadable(id)
		case ok:
			gs.alarms.advance(id, at) // one that rings too early costs little (tick); too late would be wrong
		}
		return nil
	})
}

// reconfigure hands the server's configuration to the groups that have another one.
func (gs *groups) reconfigure() {
	gs.mu.Lock()
	all := make([]*group, 0, len(gs.inUse))
	for _, g := range gs.inUse {
		g.users++ // as enter does
		all = append(all, g)
	}
	gs.mu.Unlock()
	for _, g := range all {
		g.mu.Lock()
		if g.core != nil {
			g.core.SetConfig(gs.server.config().Group)
			g.settle()
		}
		g.mu.Unlock()
		gs.exit(g)
	}
}

// close stores what is left and gives all groups up. No connection is there any more.
func (gs *groups) close() {
	gs.alarms.close()
	gs.committer.Close()
}

// enter returns a group and keeps it in use until exit.
func (gs *groups) enter(id d2m.GroupID) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.inUse[id]
	if g == nil {
		g = &group{groups: gs, id: id}
		gs.inUse[id] = g
	}
	g.users++
	return g
}

// exit ends what enter began. The last one out gives the group back to the store, if nothing is left to be stored.
func (gs *groups) exit(g *group) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.users--
	gs.retire(g)
}

// retire forgets a group that nobody uses. gs.mu is held.
func (gs *groups) retire(g *group) {
	if g.users > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.urgent || g.lazy || g.flight != nil {
		return
	}
	if g.core != nil {
		gs.server.store.Release(g.id, g.core.Epoch())
		g.abandon()
	}
	g.tellLost()
	delete(gs.inUse, g.id)
}

// abandon forgets the claimed state. g.mu is held.
func (g *group) abandon() {
	g.core = nil
	g.groups.server.addTail(-g.tail)
	g.groups.server.staged.Add(int64(-g.staged))
	g.tail, g.staged = 0, 0
}

// claim makes the group ready for events. g.mu is held.
func (g *group) claim() error {
	if g.core != nil {
		return nil
	}
	s := g.groups.server
	snapshot, err := s.store.Claim(g.id)
	switch {
	case hasFailed(err):
		s.storeFailed(err)
		return internalError("storage is not available")
	case err == nil:
		if g.core, err = devicegroup.New(g.id, s.config().Group, snapshot, s.leftAt()); err != nil {
			s.store.Release(g.id, snapshot.Epoch)
		}
	}
	if err != nil {
		s.logUnreadable(g.id)
		return internalError("storage is not readable")
	}
	return nil
}

// hasFailed tells the failure of a store from what is damaged in one group.
func hasFailed(err error) bool {
	return errors.Is(err, reflect.ErrUnavailable) || errors.Is(err, reflect.ErrFenced)
}

// register gives an authenticated connection into the hands of its group (B6, B7).
func (gs *groups) register(c *conn, hello *d2m.ClientHello) error {
	if err := c.guest.login(c.url.GroupID); err != nil {
		return err
	}
	g := gs.enter(c.url.GroupID)
	if err := g.register(c, hello); err != nil {
		gs.exit(g)
		return err
	}
	return nil
}

func (g *group) register(c *conn, hello *d2m.ClientHello) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.claim(); err != nil {
		return err
	}
	if err := g.admit(c); err != nil {
		return err
	}
	if err := g.mayBegin(c, hello); err != nil {
		return err
	}
	c.group, c.core = g, g.core
	c.member = g.core.Register(time.Now(), hello)
	c.member.Handle = c
	c.mu.Lock()
	c.registered = true
	c.mu.Unlock()
	if c.member.Registered() {
		c.guest.register()
		c.out.trust()
		g.groups.server.counters.logins.Add(1)
	}
	g.admitStill(c)
	g.settle()
	return nil
}

// mayBegin says whether a device may be registered with which its group would come into being (B6, B22). g.mu is held.
func (g *group) mayBegin(c *conn, hello *d2m.ClientHello) error {
	switch {
	case g.core.Slots() > 0:
		return nil
	case g.groups.server.crowded.Load():
		return internalError("no room for another group")
	case hello.Expected == d2m.SlotExisting:
		return nil // it is refused (B7)
	}
	return c.guest.newGroup()
}

// receive hands a message of c to the core, and waits while c must not be read (B21).
func (g *group) receive(c *conn, message []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.groups.server
	c.core.SetFull(s.full.Load())
	c.core.SetCrowded(s.staged.Load() >= int64(s.config().StagedBytes))
	c.core.Receive(time.Now(), c.member, message)
	g.settleOf(c.core)
	for c.member.Blocked() {
		resume := make(chan struct{})
		c.resume = resume
		g.mu.Unlock()
		<-resume
		g.mu.Lock()
	}
}

// unblock lets the reader of c go on if it waits and may. g.mu is held.
func (c *conn) unblock() {
	if c.resume != nil && !c.member.Blocked() {
		close(c.resume)
		c.resume = nil
	}
}

// next fetches what is to be sent on c (B10).
func (g *group) next(c *conn, out *devicegroup.Output) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.core.Next(c.member, out)
	if out.Empty() && !c.member.Dry() {
		c.core.Drained(time.Now(), c.member)
		g.settleOf(c.core)
		c.core.Next(c.member, out)
	}
	c.unblock()
	g.count(c.core)
	g.countMemory()
}

// nextAtOnce is next for what is in memory. It reports whether anything is left.
func (g *group) nextAtOnce(c *conn, out *devicegroup.Output) (left bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.core.NextInMemory(c.member, out)
	c.unblock()
	g.count(c.core)
	g.countMemory()
	return c.core.Pending(c.member) || !c.member.Dry()
}

func (g *group) written(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.core.Written(time.Now(), c.member)
}

// end closes a connection of the group from the server's side.
func (g *group) end(c *conn, why devicegroup.Close) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.core.Close(time.Now(), c.member, why)
	g.settleOf(c.core)
}

// over notes that nothing can be sent on c, or nothing read from it, any more.
func (g *group) over(c *conn) {
	c.leaveChat()
	g.mu.Lock()
	defer g.mu.Unlock()
	c.core.End(time.Now(), c.member)
	c.unblock()
	g.settleOf(c.core)
}

// unreadable handles messages for c that could not be read from the store: nothing of the group is certain then (B43).
// A connection that has left the group meanwhile may miss what was deleted with its slot.
func (g *group) unreadable(c *conn, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !c.member.Registered() {
		return
	}
	g.groups.server.storeFailed(err)
	c.core.Fail(err)
	g.settleOf(c.core)
}

// skip leaves out messages for c that are damaged in the store; they are given by their places in out's Fetch.
func (g *group) skip(c *conn, out *devicegroup.Output, damaged []int) {
	if len(damaged) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range damaged {
		c.core.Skip(time.Now(), c.member, out, i)
	}
	g.settleOf(c.core)
}

// tick does what a group's deadline is there for (B34).
func (gs *groups) tick(id d2m.GroupID) {
	g := gs.enter(id)
	defer gs.exit(g)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alarm = time.Time{}
	if err := g.claim(); err != nil {
		gs.alarms.set(id, time.Now().Add(retryAfter))
		return
	}
	g.core.Tick(time.Now())
	g.settle()
}

// settle carries out what has followed from an event. g.mu is held.
func (g *group) settle() { g.settleOf(g.core) }

// settleOf is settle for a core that may have failed meanwhile.
func (g *group) settleOf(core *devicegroup.Group) { g.settleWith(core, (*conn).wake) }

// settleWith is settleOf with another way to wake a connection. g.mu is held.
func (g *group) settleWith(core *devicegroup.Group, wake func(*conn)) {
	s := g.groups.server
	woken := core.Woken()
	for _, member := range woken {
		if !member.Registered() {
			member.Handle.(*conn).leaveChat() // before a newer connection gets its ServerInfo (B9)
		}
	}
	for _, member := range woken {
		c := member.Handle.(*conn)
		c.unblock()
		wake(c)
	}
	g.count(core)
	for _, notice := range core.Notices() {
		g.tell(notice)
	}
	if core != g.core {
		return
	}
	if core.Failed() {
		g.disappoint()
		g.abandon()
		g.alarm = time.Now().Add(retryAfter) // what was due may not have been stored (B34)
		g.groups.alarms.set(g.id, g.alarm)
		return
	}
	if leader := core.Probe(); leader != nil {
		s.pinger.watch(leader.Handle.(*conn))
	}
	g.askForCommit()
	g.countMemory()
	if at, ok := core.Deadline(); ok && !at.Equal(g.alarm) {
		g.alarm = at
		g.groups.alarms.set(g.id, at)
	}
}

// tell has the log tell the operator of something. Ephemerals are lost as fast as a device likes to send them: they get a
// line only now and then. g.mu is held.
func (g *group) tell(n devicegroup.Notice) {
	if n != devicegroup.EphemeralsLost {
		g.groups.server.logNotice(g.id, n)
		return
	}
	g.lost++
	if now := time.Now(); now.Sub(g.lostTold) >= lostInterval {
		g.lostTold = now
		g.tellLost()
	}
}

// tellLost has the log tell how many ephemerals were lost since it did last, if any. g.mu is held.
func (g *group) tellLost() {
	if g.lost > 0 {
		g.groups.server.logLost(g.id, g.lost)
		g.lost = 0
	}
}

// count keeps the server's account of what has happened. g.mu is held.
func (g *group) count(core *devicegroup.Group) { g.groups.server.counters.add(core.Tally()) }

// askForCommit tells the committer what it is not told yet. g.mu is held.
func (g *group) askForCommit() {
	switch need := g.core.Needs(); {
	case need == devicegroup.NeedNow && !g.urgent:
		g.urgent = true
		g.groups.committer.Add(g)
	case need == devicegroup.NeedLater && !g.lazy && !g.urgent:
		g.lazy = true
		g.groups.committer.AddLazy(g)
	}
}

// countMemory keeps the server's account of what is in memory, and forgets what is stored if it is too much. g.mu is held.
func (g *group) countMemory() {
	if g.core == nil {
		return
	}
	s := g.groups.server
	staged := g.core.Staged()
	s.staged.Add(int64(staged - g.staged))
	g.staged = staged
	bytes := g.core.TailBytes()
	if s.addTail(bytes-g.tail) > int64(s.config().TailBytes) {
		g.core.Trim(0)
		s.addTail(g.core.TailBytes() - bytes)
		bytes = g.core.TailBytes()
	}
	g.tail = bytes
}

// Seal gives the committer what the group has to store.
func (g *group) Seal() *reflect.Batch {
	g.mu.Lock()
	all := !g.urgent // added as what can wait, and that has waited long enough
	// The committer calls once for what is urgent and what can wait. If the latter still waits with it, adding it again
	// does no harm.
	g.urgent, g.lazy = false, false
	var b *reflect.Batch
	if g.core != nil {
		b = g.core.Seal(time.Now(), all)
		g.askForCommit()
	}
	if b != nil {
		g.flight = g.core
	}
	g.mu.Unlock()
	if b == nil {
		g.rest()
	}
	return b
}

// Committed takes the store's answer.
func (g *group) Committed(b *reflect.Batch, err error) {
	if err != nil {
		g.groups.server.storeFailed(err)
	} else {
		g.groups.server.storeWorks()
	}
	g.mu.Lock()
	core := g.flight
	g.flight = nil
	core.Committed(time.Now(), b, err)
	g.settleWith(core, func(c *conn) { g.groups.woken = append(g.groups.woken, c) })
	if err == nil && core == g.core {
		g.answer()
	}
	g.mu.Unlock()
	g.groups.writeWoken()
	g.rest()
}

// writeWoken sends what a commit has made visible.
func (gs *groups) writeWoken() {
	for _, c := range gs.woken {
		c.writeAtOnce(&gs.out)
	}
	clear(gs.woken)
	gs.woken = gs.woken[:0]
}

// rest gives the group up if this was all that it was kept for.
func (g *group) rest() {
	g.groups.mu.Lock()
	defer g.groups.mu.Unlock()
	if g.groups.inUse[g.id] == g {
		g.groups.retire(g)
	}
}
