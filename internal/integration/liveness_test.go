//go:build integration

package integration

import (
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/internal/serverprocess"
)

const (
	directly    = 45 * time.Second // for a hand-over when the leader's TCP is silent
	behindProxy = 75 * time.Second // and when only the client is
	faithful    = 90 * time.Second // that a leader is seen to stay leader
)

// TestB13_Liveness loses the network of leaders that other devices wait to replace, with the real server. All cases run at
// the same time, for all they do is wait: run it with -parallel 16.
func TestB13_Liveness(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		proxy string // mode of the one before the server
		test  func(*contest)
	}{
		{"B13 link down, then another device comes", "", linkDownBefore},
		{"B13 link down while another device waits", "", linkDownAfter},
		{"B13 link down before a TCP proxy", "tcp", linkDownBeforeProxy},
		{"B13 link down before an HTTP proxy", "http", linkDownBeforeProxy},
		{"B13 client silent, TCP alive", "", clientSilent},
		{"B13 client never pongs", "", clientNeverPongs},
		{"B13 client never pongs, before a TCP proxy", "tcp", clientNeverPongs},
		{"B13 client suspended before it could pong", "", clientSuspended},
		{"B13 link down for 10 s", "", linkDownForAWhile},
		{"B13 link down for 10 s, quiet before", "", linkDownForAWhileAfterQuiet},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(newContest(t, binary, c.proxy))
		})
	}
}

// The ping that is sent when the other device comes stays unacknowledged.
func linkDownBefore(c *contest) {
	c.lead(false)
	c.link.down(c.t)
	c.contend()
	c.handsOver(time.Now(), directly, "the other device came")
}

// The next ping after the link has gone down stays unacknowledged.
func linkDownAfter(c *contest) {
	c.lead(false)
	c.contend()
	c.leaderPinged()
	c.link.down(c.t)
	c.handsOver(time.Now(), directly, "the link went down")
}

// The proxy's kernel acknowledges everything, so it is the answers that are missed.
func linkDownBeforeProxy(c *contest) {
	c.lead(true)
	c.contend()
	c.leaderPinged()
	c.link.down(c.t)
	c.handsOver(time.Now(), behindProxy, "the link went down")
}

// For the server a client that hangs, or is suspended, and a proxy whose client is gone are the same: TCP acknowledges
// what nobody answers. One that answered before is given up.
func clientSilent(c *contest) {
	c.lead(true)
	c.contend()
	c.leaderPinged()
	c.leader.answers.Store(false)
	c.handsOver(time.Now(), behindProxy, "the client fell silent")
}

// One that never answered is not, as long as TCP acknowledges.
func clientNeverPongs(c *contest) {
	c.lead(false)
	c.contend()
	c.keepsLeading(faithful)
	if n := len(c.leader.pings); n < 4 {
		c.t.Errorf("the leader was pinged %d times in %v, want 4 at least", n, faithful)
	}
	c.leader.conn.Close()
	c.handsOver(time.Now(), directly, "the leader left")
}

// A process that is stopped neither reads nor answers; its kernel acknowledges for it.
func clientSuspended(c *contest) {
	leader := c.leadAsProcess()
	c.pause(leader)
	c.contend()
	c.keepsLeading(faithful)
	leader.Kill()
	c.handsOver(time.Now(), directly, "the leader was killed")
}

// TCP makes good for what was lost meanwhile.
func linkDownForAWhile(c *contest) {
	c.lead(true)
	c.contend()
	c.leaderPinged()
	c.link.down(c.t)
	c.comesBack()
}

// The leader has not sent anything for a while, since there was nothing to acknowledge: its silence counts from when there
// is. Not for longer than 13 s, for the server's kernel looks for quiet peers every 15 s and would have an answer.
func linkDownForAWhileAfterQuiet(c *contest) {
	c.lead(true)
	quiet := time.NewTimer(13 * time.Second)
	defer quiet.Stop()
	select {
	case <-c.leader.pings:
		c.t.Fatal("the leader was pinged though nobody waited: it has not been quiet")
	case <-c.leader.ended:
		c.t.Fatal(c.leader.err)
	case <-quiet.C:
	}
	c.link.down(c.t)
	c.contend()
	c.comesBack()
}

// comesBack has the link come back 10 s after now, with a message for the leader on the way.
func (c *contest) comesBack() {
	c.t.Helper()
	if err := c.waiting.send(d2m.Reflect{Envelope: []byte("on its way")}); err != nil {
		c.t.Fatal(err)
	}
	c.keepsLeading(10 * time.Second)
	c.link.up(c.t)
	c.keepsLeading(directly)
	if m, err := next[d2m.Reflected](c.ctx, c.leader); err != nil || string(m.Envelope) != "on its way" {
		c.t.Errorf("the leader got %q, %v", m.Envelope, err)
	}
	c.leader.conn.Close()
	c.handsOver(time.Now(), directly, "the leader left")
}
