package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

type reflected struct {
	at  time.Time
	err error
}

// goReflect calls Reflect in a goroutine of its own.
func goReflect(ctx context.Context, d *client.Device, s string) chan reflected {
	result := make(chan reflected, 1)
	go func() {
		at, err := d.Reflect(ctx, text(s))
		result <- reflected{at, err}
	}()
	return result
}

// wantNotSent checks an error of a request that has certainly not left.
func wantNotSent(t *testing.T, err, reason error) {
	t.Helper()
	var unknown *client.UnknownError
	if !errors.Is(err, reason) || errors.As(err, &unknown) || !strings.Contains(err.Error(), "was not sent") {
		t.Errorf("error is %v, want one that says not sent because of %v", err, reason)
	}
}

func TestB15_ReflectReturnsTimestampOfAck(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goReflect(t.Context(), d, "hello")
		m := receive[d2m.Reflect](p)
		if m.Ephemeral() || openText(t, m.Envelope) != "hello" {
			t.Errorf("reflected %+v", m)
		}
		synctest.Wait()
		if len(result) > 0 {
			t.Error("Reflect returned before the ack")
		}
		p.send(d2m.ReflectAck{ID: m.ID, Timestamp: 1_700_000_000_123})
		got := <-result
		if got.err != nil || got.at.UnixMilli() != 1_700_000_000_123 {
			t.Errorf("got %v, %v", got.at, got.err)
		}
	})
}

func TestReflectNamesThisDeviceAsSender(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		forged := text("hello")
		forged.Device = 99
		if _, err := d.Submit(t.Context(), forged); err != nil {
			t.Fatal(err)
		}
		plain, _, err := testKeys.OpenEnvelope(receive[d2m.Reflect](p).Envelope)
		if err != nil {
			t.Fatal(err)
		}
		if envelope := parseEnvelope(t, plain); envelope.Device != 7 {
			t.Errorf("sender is %d, want 7", envelope.Device)
		}
	})
}

func TestReflectWaitsForConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		result := goReflect(t.Context(), d, "hello")
		f.accept().socket.CloseNow()
		p := f.register()
		p.send(d2m.ReflectAck{ID: receive[d2m.Reflect](p).ID, Timestamp: 5})
		if got := <-result; got.err != nil || got.at.UnixMilli() != 5 {
			t.Errorf("got %v, %v", got.at, got.err)
		}
	})
}

func TestReflectNeverSent(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := goReflect(ctx, d, "too late")
		wantNotSent(t, (<-result).err, context.DeadlineExceeded)

		// It must not be sent later either.
		second := goReflect(t.Context(), d, "in time")
		p := f.register()
		if got := openText(t, receive[d2m.Reflect](p).Envelope); got != "in time" {
			t.Errorf("reflected %q", got)
		}
		d.Close()
		<-second
		_, err := d.Reflect(t.Context(), text("after Close"))
		wantNotSent(t, err, client.ErrClosed)
	})
}

func TestReflectNeverSentBecauseDeviceEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		result := goReflect(t.Context(), d, "hello")
		p := f.accept()
		p.challenge()
		p.close(d2m.CloseDeviceLimit)
		got := <-result
		var closed *client.CloseError
		var unknown *client.UnknownError
		if !errors.As(got.err, &closed) || errors.As(got.err, &unknown) {
			t.Errorf("error is %v", got.err)
		}
	})
}

func TestReflectUnknownWhenConnectionEndsBeforeAck(t *testing.T) {
	ends := map[string]func(p *peer){
		"abrupt":         func(p *peer) { p.socket.CloseNow() },
		"going away":     func(p *peer) { p.close(d2m.CloseGoingAway) },
		"internal error": func(p *peer) { p.close(d2m.CloseInternal) },
		"dropped":        func(p *peer) { p.close(d2m.CloseDropped) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.register()
				result := goReflect(t.Context(), d, "hello")
				sealed := bytes.Clone(receive[d2m.Reflect](p).Envelope)
				end(p)
				var unknown *client.UnknownError
				if got := <-result; !errors.As(got.err, &unknown) || !bytes.Equal(unknown.Sealed, sealed) {
					t.Errorf("error is %v", got.err)
				}
			})
		})
	}
}

// What may have been delivered is reflected again as the same bytes, so that the
// others can tell.
func TestReflectSealedRepeatsNonce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goReflect(t.Context(), d, "hello")
		first := receive[d2m.Reflect](p)
		p.socket.CloseNow()
		var unknown *client.UnknownError
		if !errors.As((<-result).err, &unknown) {
			t.Fatal("error is no UnknownError")
		}
		again := make(chan error, 1)
		go func() {
			_, err := d.ReflectSealed(t.Context(), unknown.Sealed)
			again <- err
		}()
		p = f.register()
		second := receive[d2m.Reflect](p)
		if !bytes.Equal(first.Envelope, second.Envelope) {
			t.Error("the second envelope differs from the first")
		}
		p.send(d2m.ReflectAck{ID: second.ID})
		if err := <-again; err != nil {
			t.Error(err)
		}
	})
}

func TestReflectUnknownWhenContextEndsBeforeAck(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		result := goReflect(ctx, d, "hello")
		m := receive[d2m.Reflect](p)
		var unknown *client.UnknownError
		if got := <-result; !errors.As(got.err, &unknown) || !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("error is %v", got.err)
		}
		// Its ack is still an answer to something.
		p.send(d2m.ReflectAck{ID: m.ID})
		second := goReflect(t.Context(), d, "next")
		p.send(d2m.ReflectAck{ID: receive[d2m.Reflect](p).ID, Timestamp: 3})
		if got := <-second; got.err != nil || got.at.UnixMilli() != 3 {
			t.Errorf("got %v, %v", got.at, got.err)
		}
	})
}

func TestReflectUnknownWhenDeviceIsClosedBeforeAck(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goReflect(t.Context(), d, "hello")
		receive[d2m.Reflect](p)
		go p.discard()
		d.Close()
		var unknown *client.UnknownError
		if got := <-result; !errors.As(got.err, &unknown) || !errors.Is(got.err, client.ErrClosed) {
			t.Errorf("error is %v", got.err)
		}
	})
}

func TestSubmitPipelinesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		const total = 200
		d := start(t, f.config())
		p := f.register()
		receipts := make(chan *client.Receipt, total)
		go func() {
			defer close(receipts)
			for i := range total {
				receipt, err := d.Submit(t.Context(), text(fmt.Sprint(i)))
				if err != nil {
					t.Error(err)
					return
				}
				receipts <- receipt
			}
		}()
		var ids []d2m.ReflectID
		for i := range total {
			m := receive[d2m.Reflect](p)
			if got := openText(t, m.Envelope); got != fmt.Sprint(i) {
				t.Fatalf("reflected %q, want %d", got, i)
			}
			ids = append(ids, m.ID)
		}
		for i, id := range ids {
			p.send(d2m.ReflectAck{ID: id, Timestamp: uint64(i)})
		}
		for i := range total {
			if at, err := (<-receipts).Wait(t.Context()); err != nil || at.UnixMilli() != int64(i) {
				t.Fatalf("receipt %d: %v, %v", i, at, err)
			}
		}
	})
}

// The server may answer in another order than that of the questions.
func TestReflectAcksOutOfOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		one, err1 := d.Submit(t.Context(), text("one"))
		two, err2 := d.Submit(t.Context(), text("two"))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		id1, id2 := receive[d2m.Reflect](p).ID, receive[d2m.Reflect](p).ID
		p.send(d2m.ReflectAck{ID: id2, Timestamp: 2}, d2m.ReflectAck{ID: id1, Timestamp: 1})
		for i, receipt := range []*client.Receipt{one, two} {
			if at, err := receipt.Wait(t.Context()); err != nil || at.UnixMilli() != int64(i+1) {
				t.Errorf("receipt %d: %v, %v", i, at, err)
			}
		}
	})
}

// Neither is more sent than may be unanswered, nor is more queued than that.
func TestSubmitWaitsForServerThatDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		const sent, queued = 256, 64
		d := start(t, f.config())
		p := f.register()
		go p.discard()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		submitted := 0
		var err error
		for err == nil && submitted < 2*(sent+queued) {
			if _, err = d.Submit(ctx, text("x")); err == nil {
				submitted++
			}
		}
		wantNotSent(t, err, context.DeadlineExceeded)
		if submitted != sent+queued {
			t.Errorf("submitted %d, want %d", submitted, sent+queued)
		}
		// One answer makes room for one.
		p.send(d2m.ReflectAck{ID: 0})
		if _, err := d.Submit(t.Context(), text("x")); err != nil {
			t.Error(err)
		}
	})
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	var unknown *client.UnknownError
	if err == nil || errors.As(err, &unknown) {
		t.Errorf("%s was sent: %v", what, err)
	}
}

func TestReflectRefusesWhatCannotBeDelivered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		f.register()
		_, err := d.Reflect(t.Context(), text(strings.Repeat("x", d2m.MaxEnvelopeSize)))
		wantRefused(t, "too long a text", err)
		_, err = d.Submit(t.Context(), text("\xff"))
		wantRefused(t, "a text that is not UTF-8", err)
		wantRefused(t, "an ephemeral text that is not UTF-8", d.ReflectEphemeral(t.Context(), text("\xff")))
		_, err = d.ReflectSealed(t.Context(), make([]byte, d2m.MaxEnvelopeSize+1))
		wantRefused(t, "too large an envelope", err)
	})
}

func TestReflectLargestEnvelope(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		go d.ReflectSealed(t.Context(), make([]byte, d2m.MaxEnvelopeSize))
		if m := receive[d2m.Reflect](p); len(m.Envelope) != d2m.MaxEnvelopeSize {
			t.Errorf("envelope has %d bytes", len(m.Envelope))
		}
	})
}

func TestB20_ReflectEphemeral(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		if err := d.ReflectEphemeral(t.Context(), text("typing")); !errors.Is(err, client.ErrOffline) {
			t.Errorf("without a connection: %v", err)
		}
		p := f.register()
		synctest.Wait()
		// There is no ack to wait for.
		if err := d.ReflectEphemeral(t.Context(), text("typing")); err != nil {
			t.Fatal(err)
		}
		if m := receive[d2m.Reflect](p); !m.Ephemeral() || openText(t, m.Envelope) != "typing" {
			t.Errorf("reflected %+v", m)
		}
		go p.discard()
		d.Close()
		if err := d.ReflectEphemeral(t.Context(), text("typing")); !errors.Is(err, client.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
