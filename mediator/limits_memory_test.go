package mediator_test

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"testing/synctest"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
)

// Bounds of what the server holds for one connection, in bytes, by where it is held.
const (
	kib = 1 << 10

	boundIdle     = 32 * kib                     // the connection itself, its group, and the test's end of it
	boundOutbox   = 5 * (128 + 16) * kib / 2     // collected, in a buffer with room to grow, and being written
	boundPreauth  = 5*(16+16)*kib/2 + 3*2*16*kib // the same; held back, read ahead, and a message that is arriving
	boundAhead    = 16 * kib                     // read ahead
	boundMessage  = 2 * 64 * kib                 // that is arriving
	boundAnswers  = 2 * (64 + 4) * kib           // unsent, one more, and as much being written
	boundChat     = 2 * 2 * (16 + 64) * kib      // each direction: 16 KiB and a unit
	boundQueue    = (256 + 64 + 64) * kib        // the latest of the queue, what of it is being written, and its index
	boundStaged   = (256 + 64 + 32) * kib        // as configured here, one more message, and the list of them
	boundPassing  = (256 + 64) * kib             // ephemerals that wait
	boundDeferred = (64 + 64) * kib              // ephemerals of a locked group
)

// greedy is a device that takes nothing and gives as much as it can.
type greedy struct {
	*wire
	s    *testServer
	id   identity
	peer *wire // another device of its group, that listens
}

// atOnce is how many frames of those that are repeated are written in one piece.
const atOnce = 16

// stagedBytes is what a transaction may hold in these tests.
const stagedBytes = 256 * kib

// roads are the ways by which a device makes the server hold something, and their bounds per connection.
var roads = map[string]struct {
	bound int
	drive func(g *greedy)
}{
	"before the login": {boundIdle + boundPreauth, func(g *greedy) {
		g.wire = g.s.dialWire(g.id)
		g.message(d2m.Proxy{Data: make([]byte, 16*kib-4)})
		g.frame(opBinary, make([]byte, 16*kib))
		g.floodPings()
	}},
	"pongs": {boundIdle + boundOutbox + boundAhead, func(g *greedy) {
		g.login(1)
		g.floodPings()
	}},
	"a message that does not end": {boundIdle + boundMessage + boundOutbox + boundAhead, func(g *greedy) {
		g.login(1)
		g.frame(opBinary, make([]byte, 64*kib-1))
		g.floodPings()
	}},
	"answers": {boundIdle + 2*boundAnswers + boundAhead, func(g *greedy) {
		g.login(1)
		g.push(bytes.Repeat(appendMessages(nil, d2m.GetDevicesInfo{}), atOnce))
	}},
	"to the chat server": {boundIdle + boundChat + boundMessage + boundAhead, func(g *greedy) {
		g.login(1)
		g.push(appendMessages(nil, d2m.Proxy{Data: make([]byte, 60*kib)}))
	}},
	"staged, small": {boundIdle + boundStaged + boundAnswers, func(g *greedy) {
		g.login(1)
		g.stage(0, stagedBytes/64-1)
	}},
	"staged, large": {boundIdle + boundStaged + boundAnswers, func(g *greedy) {
		g.login(1)
		g.stage(50*kib, stagedBytes/(50*kib+64))
	}},
	"deferred": {2*boundIdle + boundDeferred, func(g *greedy) {
		g.login(1)
		g.loginPeer()
		g.message(d2m.BeginTransaction{})
		synctest.Wait()
		g.peer.listen()
		for range 12 {
			g.peer.message(d2m.Reflect{Envelope: make([]byte, 60*kib)})
			g.peer.message(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: make([]byte, 60*kib)})
		}
	}},
	"unread queue": {2*boundIdle + boundQueue + boundPassing, func(g *greedy) {
		g.login(1)
		g.loginPeer()
		g.peer.listen()
		for range 12 {
			g.peer.message(d2m.Reflect{Envelope: make([]byte, 60*kib)})
			g.peer.message(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: make([]byte, 60*kib)})
		}
	}},
	"all that goes together": {
		2*boundIdle + boundStaged + boundQueue + boundPassing + boundChat + boundMessage + boundAnswers + boundOutbox +
			boundAhead, func(g *greedy) {
			g.login(1)
			g.loginPeer()
			g.peer.listen()
			for range 12 {
				g.peer.message(d2m.Reflect{Envelope: make([]byte, 60*kib)})
				g.peer.message(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: make([]byte, 60*kib)})
			}
			synctest.Wait()
			g.stage(50*kib, stagedBytes/(50*kib+64))
			g.message(d2m.Proxy{Data: make([]byte, 60*kib)})
			for range 8 {
				g.message(d2m.GetDevicesInfo{})
			}
			g.frame(opBinary, make([]byte, 64*kib-1))
			g.floodPings()
		}},
}

func (g *greedy) login(device d2m.DeviceID) {
	g.wire = g.s.dialWire(g.id)
	hello := g.id.hello(g.t, expectOn[d2m.ServerHello](g.wire), device, d2m.SlotNew)
	hello.DeviceInfo = make([]byte, 4000)
	g.message(hello)
	for range 3 { // ServerInfo, ReflectionQueueDry, RolePromotedToLeader
		g.next()
	}
}

func (g *greedy) loginPeer() { g.peer = g.s.loginWire(g.id, 2, d2m.SlotNew) }

func (g *greedy) floodPings() {
	g.push(bytes.Repeat(appendFrame(nil, fin|opPing, make([]byte, 125)), atOnce))
}

// stage begins a transaction and reflects in it. Its answers are not read.
func (g *greedy) stage(size, messages int) {
	g.message(d2m.BeginTransaction{})
	go func() {
		message := appendMessages(nil, d2m.Reflect{Envelope: make([]byte, size)})
		for left := messages; left > 0; left -= atOnce {
			g.Write(bytes.Repeat(message, min(left, atOnce)))
		}
	}()
	synctest.Wait()
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what is in pools goes with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Connections that make the server hold as much as they can, by each road: memory grows by less than the sum of
// the bounds, and a group that comes then is served at once.
func TestB44_MemoryByEveryRoad(t *testing.T) {
	for name, road := range roads {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startHungry(t)
				before := liveHeap()
				for range greedyConnections {
					id := newIdentity(t)
					road.drive(&greedy{s: s, id: id, wire: &wire{t: t}})
				}
				synctest.Wait()
				if n := s.Connections(); n < greedyConnections {
					t.Fatalf("%d connections, want %d", n, greedyConnections)
				}
				grown := int(int64(liveHeap())-int64(before)) / greedyConnections
				t.Logf("%d KiB per connection, bound %d KiB", grown/kib, road.bound/kib)
				if grown > road.bound {
					t.Errorf("%d KiB are held per connection, the bound is %d KiB", grown/kib, road.bound/kib)
				}
				s.reflectsAtOnce(honest)
			})
		})
	}
}

// startHungry runs a server with a store on disk and a chat server that takes nothing and sends all the time.
func startHungry(t *testing.T) *testServer {
	t.Helper()
	config := mediator.DefaultConfig()
	config.Group.StagedBytes = stagedBytes
	u := newUpstream()
	config.Chat = chatproxy.Config{Upstreams: parseUpstreams(t, "4f=chat.example:5222"), Dial: u.dial}
	done := make(chan struct{})
	var chats []net.Conn
	go func() {
		defer close(done)
		for chat := range u.conns {
			chats = append(chats, chat)
			go func() {
				chat.Write(append(serverHello(), loginAck()...))
				for {
					if _, err := chat.Write(chatFrame(60_000)); err != nil {
						return
					}
				}
			}()
		}
	}()
	t.Cleanup(func() {
		close(u.conns)
		<-done
		for _, chat := range chats {
			chat.Close()
		}
	})
	return startServer(t, listen.NewPipe(), openBolt(t), config)
}
