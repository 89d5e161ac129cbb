package model_test

import (
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup/model"
)

func record(sender d2m.DeviceID, text string) model.Record {
	return model.Record{Sender: sender, Timestamp: noon, Envelope: []byte(text)}
}

func reflect(text string) d2m.Reflect { return d2m.Reflect{Envelope: []byte(text)} }

func ended(holder d2m.DeviceID) d2m.TransactionEnded {
	return d2m.TransactionEnded{DeviceID: holder, Scope: []byte("scope")}
}

// locked has two devices, the first of which holds the lock.
func locked(t *testing.T) (s *story, holder, other *model.Conn) {
	s = newStory(t, 0)
	holder, other = s.joins(1), s.joins(2)
	s.gets(holder, d2m.RolePromotedToLeader{})
	s.sends(holder, d2m.BeginTransaction{Scope: []byte("scope")})
	s.mayNotGet(holder, "B27", d2m.CommitTransactionAck{})
	s.gets(holder, d2m.BeginTransactionAck{})
	return s, holder, other
}

func TestACommitIsSeenWholeAndInOrder(t *testing.T) {
	s, holder, other := locked(t)
	s.sends(holder, reflect("staged"))
	s.gets(holder, d2m.ReflectAck{Timestamp: noon})
	s.mayNotGet(other, "B14", reflected(1, "staged"))
	s.sends(other, reflect("deferred"))
	s.mayNotGet(holder, "B14", reflected(1, "deferred"))
	s.sends(holder, d2m.CommitTransaction{})
	s.mayNotGet(holder, "B15", d2m.CommitTransactionAck{})
	s.mayNotGet(other, "B15", reflected(1, "staged"))
	s.stores(record(2, "deferred"), record(1, "staged"))
	s.mayNotGet(other, "B14", ended(1))
	s.gets(other, reflected(1, "staged"))
	s.mayNotGet(other, "B27", ended(3))
	s.gets(other, ended(1), d2m.ReflectAck{Timestamp: noon})
	s.refuses("B27", s.Complete(holder))
	s.gets(holder, d2m.CommitTransactionAck{})
	s.mayNotGet(holder, "B14", reflected(1, "deferred"))
	s.gets(holder, reflected(2, "deferred"))
	s.mayNotGet(holder, "B27", ended(1))
}

func TestWhatIsSentBehindACommitWaits(t *testing.T) {
	s, holder, other := locked(t)
	s.sends(holder, reflect("staged"))
	s.sends(holder, d2m.CommitTransaction{})
	s.sends(holder, d2m.BeginTransaction{Scope: []byte("next")})
	s.sends(other, d2m.BeginTransaction{})
	s.stores(record(1, "staged"))
	s.mayNotGet(other, "B25", d2m.TransactionRejected{DeviceID: 1, Scope: []byte("next")})
	s.refuses("B25", s.Complete(other))
	s.gets(other, d2m.TransactionRejected{DeviceID: 1, Scope: []byte("scope")}, reflected(1, "staged"), ended(1))
	s.gets(holder, d2m.ReflectAck{Timestamp: noon}, d2m.CommitTransactionAck{}, d2m.BeginTransactionAck{})
	s.mayNotGet(holder, "B24", d2m.BeginTransactionAck{})
}

func TestTheTimeToLiveEndsATransaction(t *testing.T) {
	s, holder, other := locked(t)
	s.sends(holder, reflect("staged"))
	s.sends(other, reflect("deferred"))
	s.stores(record(2, "deferred"))
	at, ok := s.Model.Deadline()
	if !ok || !at.Equal(s.now.Add(time.Minute)) || s.Staged() != 6+64 {
		t.Errorf("deadline %v, %v; %d bytes staged", at, ok, s.Staged())
	}
	s.Tick(at)
	s.refuses("B45", s.ObserveClose(holder, d2m.CloseTransactionExpired))
	s.gets(other, ended(1))
	s.stores()
	s.refuses("B45", s.ObserveClose(holder, d2m.CloseProtocolError))
	s.gets(holder, d2m.ReflectAck{Timestamp: noon})
	if err := s.ObserveClose(holder, d2m.CloseTransactionExpired); err != nil || s.Staged() != 0 {
		t.Errorf("%v; %d bytes staged", err, s.Staged())
	}
}

// After a crash what was staged is gone, and what was deferred goes out.
func TestACrashEndsATransaction(t *testing.T) {
	s, holder, other := locked(t)
	s.sends(holder, reflect("staged"))
	s.sends(other, reflect("deferred"))
	s.stores(record(2, "deferred"))
	s.sends(holder, d2m.CommitTransaction{})
	s.Claim(s.now, false)
	holder, other = s.returns(1), s.returns(2)
	s.stores()
	s.gets(holder, info(d2m.SlotExisting, 1), reflected(700, "deferred"))
	s.gets(other, info(d2m.SlotExisting, 0))
	s.mayNotGet(other, "B27", ended(1))
	s.mayNotGet(other, "B14", reflected(699, "staged"))
}

func TestOfTheEndsThatWaitOnlyTheLastIsTold(t *testing.T) {
	s, holder, other := locked(t)
	s.sends(holder, d2m.CommitTransaction{})
	s.sends(holder, d2m.BeginTransaction{Scope: []byte("next")})
	s.sends(holder, d2m.CommitTransaction{})
	s.mayNotGet(other, "B27", ended(1))
	s.gets(other, d2m.TransactionEnded{DeviceID: 1, Scope: []byte("next")})
	s.mayNotGet(other, "B27", ended(1))
}
