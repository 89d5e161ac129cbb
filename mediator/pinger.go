package mediator

import (
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

const (
	pingTick     = time.Second
	leaderPing   = 15 * time.Second // between pings to a leader that others wait for
	leaderSilent = 20 * time.Second // data unacknowledged and nothing heard: dead (B13)
	missedPongs  = 2                // in a row, by a device that answered before: dead
)

// pinger is one wheel for all connections: a tick a second, at each of which some of them are pinged, so that each has
// its turn once per interval. It also looks after leaders that others wait to replace (B13).
type pinger struct {
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	wheel   []map[*conn]struct{}
	hand    int
	watched map[*conn]struct{}
}

func newPinger(interval time.Duration) *pinger {
	p := &pinger{
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		wheel:   newWheel(interval),
		watched: make(map[*conn]struct{}),
	}
	go p.run()
	return p
}

func newWheel(interval time.Duration) []map[*conn]struct{} {
	wheel := make([]map[*conn]struct{}, max(1, interval/pingTick))
	for i := range wheel {
		wheel[i] = make(map[*conn]struct{})
	}
	return wheel
}

// setInterval changes the time between two pings. Who was to be pinged sooner than others still is.
func (p *pinger) setInterval(interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wheel := newWheel(interval)
	if len(wheel) == len(p.wheel) {
		return
	}
	for i, bucket := range p.wheel {
		to := i * len(wheel) / len(p.wheel)
		for c := range bucket {
			c.bucket = to
			wheel[to][c] = struct{}{}
		}
	}
	p.hand = p.hand * len(wheel) / len(p.wheel)
	p.wheel = wheel
}

func (p *pinger) close() {
	close(p.stop)
	<-p.done
}

// add gives a connection its place on the wheel: it has its first turn after a whole interval.
func (p *pinger) add(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.bucket = p.hand
	p.wheel[p.hand][c] = struct{}{}
}

func (p *pinger) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wheel[c.bucket], c)
	delete(p.watched, c)
}

// watch pings a leader that another device waits to replace, and looks after it from now on. It is called with the
// group's lock held.
func (p *pinger) watch(c *conn) {
	p.mu.Lock()
	p.watched[c] = struct{}{}
	p.mu.Unlock()
	c.ping()
}

// unwatch ends what watch began. It is called with the group's lock held, too: whoever comes to wait for the place of a leader
// that is just found alone has it watched again.
func (p *pinger) unwatch(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watched, c)
}

func (p *pinger) run() {
	defer close(p.done)
	ticker := time.NewTicker(pingTick)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			turn, watched := p.turn()
			for _, c := range turn {
				c.ping()
			}
			for _, c := range watched {
				p.look(c)
			}
		}
	}
}

func (p *pinger) turn() (turn, watched []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hand = (p.hand + 1) % len(p.wheel)
	for c := range p.wheel[p.hand] {
		turn = append(turn, c)
	}
	for c := range p.watched {
		watched = append(watched, c)
	}
	return turn, watched
}

// look ends a watched leader if it is dead.
func (p *pinger) look(c *conn) {
	if !c.group.isContested(c, p.unwatch) {
		c.owing = time.Time{}
		return
	}
	now := time.Now()
	c.mu.Lock()
	since := now.Sub(c.pinged)
	missed := c.ponged && c.unanswered >= missedPongs && !c.heardWithin(missedPongs*leaderPing)
	c.mu.Unlock()
	switch {
	case missed && since >= leaderPing, c.owesFor(now) >= leaderSilent:
		c.server.logDead(c)
		c.kill()
	case since >= leaderPing:
		c.ping()
	}
}

// owesFor returns for how long the device's TCP has left something unacknowledged and sent nothing. The kernel counts from
// when it heard something last, be it that nothing was owed then, so it is asked at each tick since when something is.
func (c *conn) owesFor(now time.Time) time.Duration {
	silent := silentFor(c.netConn())
	switch {
	case silent == 0:
		c.owing = time.Time{}
		return 0
	case c.owing.IsZero():
		c.owing = now
	}
	return min(silent, now.Sub(c.owing))
}

// heardWithin says whether anything has come lately, be it a part of a message or a ping.
func (c *conn) heardWithin(d time.Duration) bool {
	return c.link != nil && time.Since(c.link.lastHeard()) < d
}

// isContested says whether c is a leader that another device waits to replace. If not, otherwise is called before that can
// change.
func (g *group) isContested(c *conn, otherwise func(*conn)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.core.Leader() == c.member && c.core.Contested() {
		return true
	}
	otherwise(c)
	return false
}

// ping has the writer send a ping, unless the one before is still waiting to be sent.
func (c *conn) ping() {
	c.mu.Lock()
	c.pingDue = true
	c.mu.Unlock()
	c.wake()
}

// kill ends a connection whose peer is not there any more: the group goes on without it at once.
func (c *conn) kill() {
	c.group.end(c, devicegroup.Close{Code: d2m.CloseIdle, Reason: "no sign of life"})
	c.group.over(c)
	c.out.cut()
}
