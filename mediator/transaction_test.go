package mediator_test

import (
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// begin takes the lock and waits for the ack.
func (d *device) begin(scope string, ttl uint32) {
	d.t.Helper()
	d.send(d2m.BeginTransaction{Scope: []byte(scope), TTL: ttl})
	await[d2m.BeginTransactionAck](d)
}

// expectEnvelope reads a Reflected and fails if it holds something else.
func (d *device) expectEnvelope(want string) {
	d.t.Helper()
	if got := expect[d2m.Reflected](d); string(got.Envelope) != want {
		d.t.Fatalf("got %q, want %q", got.Envelope, want)
	}
}

// Over real connections: the winner's messages come all at once, then the end; the loser's own message comes behind.
func TestB27_CommitEndToEnd(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	winner, _ := s.login(id, 1, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](winner.device)
	loser, _ := s.login(id, 2, d2m.SlotNew)
	winner.begin("contact", 0)
	winner.reflect(1, []byte("one"))
	loser.send(d2m.BeginTransaction{Scope: []byte("settings")})
	if r := expect[d2m.TransactionRejected](loser.device); r.DeviceID != 1 || string(r.Scope) != "contact" {
		t.Fatalf("got %+v", r)
	}
	loser.reflect(9, []byte("meanwhile"))
	winner.reflect(2, []byte("two"))
	winner.send(d2m.CommitTransaction{})
	expect[d2m.CommitTransactionAck](winner.device)
	loser.expectEnvelope("one")
	loser.expectEnvelope("two")
	expect[d2m.TransactionEnded](loser.device)
	winner.expectEnvelope("meanwhile")
	loser.begin("settings", 0)
}

// The time of a lock runs in a server in which nothing else happens.
func TestB28_TimeToLiveEndToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		holder, _ := s.login(id, 1, d2m.SlotNew)
		other, _ := s.login(id, 2, d2m.SlotNew)
		holder.begin("contact", 30)
		began := time.Now()
		holder.reflect(1, []byte("never seen"))
		expect[d2m.TransactionEnded](other.device)
		if lasted := time.Since(began); lasted != 30*time.Second {
			t.Errorf("the lock lasted %v, want 30s", lasted)
		}
		holder.expectClose(d2m.CloseTransactionExpired)
		other.begin("contact", 0)
	})
}

// The server's end leaves nothing of a transaction that was not committed, and all that the others were told is stored.
func TestB28_B41_ShutdownEndsTransactions(t *testing.T) {
	store := memstore.New()
	s := startServer(t, listen.TCP(t), store, mediator.DefaultConfig())
	id := newIdentity(t)
	holder, _ := s.login(id, 1, d2m.SlotNew)
	other, _ := s.login(id, 2, d2m.SlotNew)
	holder.begin("contact", 0)
	holder.reflect(1, []byte("never seen"))
	other.reflect(1, []byte("kept"))
	stopped := make(chan error)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	holder.expectClose(d2m.CloseGoingAway)
	other.expectClose(d2m.CloseGoingAway)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	again := startServer(t, listen.TCP(t), store, mediator.DefaultConfig())
	back, queue := again.login(id, 1, d2m.SlotExisting)
	if len(queue) != 1 || string(queue[0].Envelope) != "kept" {
		t.Errorf("the former holder gets %v, want what the other reflected", queue)
	}
	back.begin("contact", 0)
	if _, queue := again.login(id, 2, d2m.SlotExisting); len(queue) != 0 {
		t.Errorf("the other device gets %v, want nothing", queue)
	}
}

// What all transactions of the server have staged is bounded, and given back when they end.
func TestB26_StagedOfAllGroups(t *testing.T) {
	config := mediator.DefaultConfig()
	config.StagedBytes = config.Group.StagedBytes
	s := startServer(t, listen.TCP(t), memstore.New(), config)
	var holders []*registered
	for range 3 {
		holder, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](holder.device)
		holder.begin("contact", 0)
		holders = append(holders, holder)
	}
	envelope := make([]byte, 64_000)
	for range config.StagedBytes / (len(envelope) + 64) {
		holders[0].reflect(1, envelope)
	}
	holders[1].reflect(1, envelope) // there was room for it, and now there is none
	holders[1].send(d2m.Reflect{Envelope: envelope})
	holders[1].expectClose(d2m.CloseProtocolError)

	holders[0].send(d2m.CommitTransaction{})
	expect[d2m.CommitTransactionAck](holders[0].device)
	holders[2].reflect(1, envelope)
	holders[2].reflect(2, envelope)
}
