package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

// expect waits for messages with these texts.
func (m *member) expect(t *testing.T, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if got := <-m.messages; got.Envelope.Text != want {
			t.Fatalf("received %q, want %q", got.Envelope.Text, want)
		}
	}
}

// transact runs a transaction through a server.
func (m *member) transact(ctx context.Context, do work) error {
	return m.Transaction(ctx, testScope, nil, do)
}

// Both habits: each ack awaited before the commit, and all pipelined.
func TestB27_TransactionThroughServer(t *testing.T) {
	for name, do := range map[string]func(...string) work{"awaited": reflecting, "pipelined": submitting} {
		t.Run(name, func(t *testing.T) {
			s := startMediator(t)
			one, two := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2})
			wantNil(t, one.transact(t.Context(), func(ctx context.Context, tx *client.Transaction) error {
				if err := do("a", "b")(ctx, tx); err != nil {
					return err
				}
				if _, err := two.Reflect(ctx, text("deferred")); err != nil { // acked all the same (B26)
					return err
				}
				if len(two.messages) > 0 {
					t.Error("another device sees something before the commit")
				}
				return do("c")(ctx, tx)
			}))
			two.expect(t, "a", "b", "c")
			one.expect(t, "deferred")
			if _, err := one.Reflect(t.Context(), text("after")); err != nil {
				t.Fatal(err)
			}
			two.expect(t, "after")
		})
	}
}

// The loser begins again when it has what the winner has changed.
func TestB27_LoserHearsOfEndBehindWinnersMessages(t *testing.T) {
	s := startMediator(t)
	winner, loser := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2})
	asked := make(chan struct{})
	lost := make(chan error, 1)
	wantNil(t, winner.transact(t.Context(), func(ctx context.Context, tx *client.Transaction) error {
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var rejected *client.RejectedError
		if err := loser.transact(short, reflecting("never")); !errors.As(err, &rejected) ||
			rejected.Holder != 1 || rejected.Scope != testScope {
			t.Errorf("error is %v", err)
		}
		checks := 0
		go func() {
			lost <- loser.Transaction(t.Context(), testScope, func(context.Context) error {
				checks++
				if checks == 1 {
					close(asked)
				} else if len(loser.messages) != 2 {
					t.Errorf("asked again with %d messages of the winner, want 2", len(loser.messages))
				}
				return nil
			}, reflecting("loser's"))
		}()
		<-asked
		return reflecting("winner's", "winner's too")(ctx, tx)
	}))
	wantNil(t, <-lost)
	loser.expect(t, "winner's", "winner's too")
	winner.expect(t, "loser's")
}

// Devices compete, again and again: each adds one to what the group has counted. Two
// that overwrote each other would show the same number twice.
func TestB24_TransactionsDoNotOverlap(t *testing.T) {
	s := startMediator(t)
	const rounds = 50
	watcher := s.join(client.Config{DeviceID: 9})
	var members []*member // all there before the first message
	for id := range 3 {
		members = append(members, s.join(client.Config{DeviceID: d2m.DeviceID(id)}))
	}
	var results []chan error
	for _, m := range members {
		results = append(results, goDo(func() error { return m.count(t.Context(), rounds) }))
	}
	for _, result := range results {
		wantNil(t, <-result)
	}
	for i := range 3 * rounds {
		watcher.expect(t, fmt.Sprint(i+1))
	}
}

// count reflects the number after the one that was reflected last by anyone.
func (m *member) count(ctx context.Context, rounds int) error {
	last := 0
	for range rounds {
		err := m.transact(ctx, func(ctx context.Context, tx *client.Transaction) error {
			for len(m.messages) > 0 {
				fmt.Sscan((<-m.messages).Envelope.Text, &last)
			}
			last++
			return submitting(fmt.Sprint(last))(ctx, tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestB28_HolderIsKilled(t *testing.T) {
	s := startMediator(t)
	conns := make(chan net.Conn, 10)
	config := client.Config{DeviceID: 1}
	config.Dialer.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			conns <- conn
		}
		return conn, err
	}
	holder, other := s.join(config), s.join(client.Config{DeviceID: 2})
	next := make(chan error, 1)
	err := holder.transact(t.Context(), func(ctx context.Context, tx *client.Transaction) error {
		if err := reflecting("undone")(ctx, tx); err != nil {
			return err
		}
		go func() { next <- other.transact(t.Context(), reflecting("other's")) }()
		(<-conns).Close()
		<-ctx.Done()
		return nil
	})
	var lost *client.LostError
	if aborted := wantAborted(t, err); !errors.As(aborted, &lost) {
		t.Errorf("aborted by %v", aborted.Err)
	}
	wantNil(t, <-next)
	wantNil(t, holder.transact(t.Context(), reflecting("again"))) // it has come back
	other.expect(t, "again")
	holder.expect(t, "other's")
}

func TestB28_FailedWorkThroughServer(t *testing.T) {
	s := startMediator(t)
	one, two := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2})
	for _, texts := range [][]string{nil, {"undone"}} {
		err := one.transact(t.Context(), func(ctx context.Context, tx *client.Transaction) error {
			return errors.Join(reflecting(texts...)(ctx, tx), errTest)
		})
		if !errors.Is(err, errTest) {
			t.Errorf("error is %v", err)
		}
		wantNil(t, two.transact(t.Context(), reflecting("free"))) // the lock is
		one.expect(t, "free")
	}
	one.await("disconnected")
	wantNil(t, one.transact(t.Context(), reflecting("done")))
	two.expect(t, "done")
}

func TestB28_TimeToLiveRunsOut(t *testing.T) {
	s := startMediator(t)
	one, two := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2})
	err := one.TransactionTTL(t.Context(), time.Second, testScope, nil, func(ctx context.Context, tx *client.Transaction) error {
		if err := reflecting("undone")(ctx, tx); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	var closed *client.CloseError
	if aborted := wantAborted(t, err); !errors.As(aborted, &closed) || closed.Code != d2m.CloseTransactionExpired {
		t.Errorf("aborted by %v", aborted.Err)
	}
	wantNil(t, one.transact(t.Context(), reflecting("done")))
	two.expect(t, "done")
}

func TestB26_StagesTooMuch(t *testing.T) {
	s := startMediator(t)
	one, two := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2})
	err := one.transact(t.Context(), reflecting(slices.Repeat([]string{string(make([]byte, 60_000))}, 150)...)) // 9 MB
	var closed *client.CloseError
	if aborted := wantAborted(t, err); !errors.As(aborted, &closed) || closed.Code != d2m.CloseProtocolError {
		t.Errorf("aborted by %v", aborted.Err)
	}
	wantNil(t, one.transact(t.Context(), reflecting("done")))
	two.expect(t, "done")
}
