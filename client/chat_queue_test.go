package client

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"openmediator/csp"
	"openmediator/devicekeys"
)

func TestChatQueueKeepsOrderAndBound(t *testing.T) {
	q := newChatQueue()
	const fit = maxChatWaiting / chatMessageCost
	for i := range csp.MessageID(fit + 100) {
		q.push(chatArrival{message: &csp.Message{ID: i}})
	}
	for i := range csp.MessageID(fit) {
		<-q.ready
		if got := q.take(); got.message == nil || got.message.ID != i {
			t.Fatalf("took %+v, want message %d", got, i)
		}
	}
	// There is room again, but what came before is lost to this connection.
	q.push(chatArrival{message: &csp.Message{ID: 1}})
	<-q.ready
	if _, last := q.take().event.(chatBacklog); !last {
		t.Error("the last one does not tell that there was no room")
	}
	if len(q.ready) > 0 || len(q.waiting) > 0 {
		t.Error("something is left")
	}
}

func TestChatQueueCountsBytes(t *testing.T) {
	q := newChatQueue()
	large := &csp.Message{Metadata: make([]byte, 4000), Box: make([]byte, 4000)}
	const fit = maxChatWaiting / (8000 + chatMessageCost)
	for range 3 * fit {
		q.push(chatArrival{message: large})
		<-q.ready
		q.take()
	}
	for range fit {
		q.push(chatArrival{message: large})
	}
	if q.full {
		t.Error("full too early")
	}
	q.push(chatArrival{message: large})
	if !q.full {
		t.Error("not full")
	}
}

func TestChatContentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := func(label string, least, most int) []byte {
			return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, label)
		}
		want := ChatMessage{
			Sender:    csp.Identity(bytes("sender", 8, 8)),
			Receiver:  csp.Identity(bytes("receiver", 8, 8)),
			ID:        csp.MessageID(rapid.Uint64().Draw(t, "id")),
			CreatedAt: time.Unix(int64(rapid.Uint32().Draw(t, "created at")), 0),
			Flags:     csp.MessageFlags(rapid.Byte().Draw(t, "flags")),
			Nickname:  rapid.StringMatching(`[a-z]{0,32}`).Draw(t, "nickname"),
			Kind:      rapid.Byte().Draw(t, "kind"),
			Body:      bytes("body", 0, 300),
			Metadata:  bytes("metadata", 0, 300),
			Nonce:     [24]byte(bytes("nonce", 24, 24)),
		}
		content, err := appendChatContent(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		envelope := devicekeys.Envelope{Device: 9, Kind: devicekeys.KindOutgoingMessage, Content: content}
		if !isChatContent(envelope) {
			t.Fatal("the content is not known again")
		}
		got, err := parseChatContent(envelope)
		if err != nil || !got.Reflected || !got.Outgoing || got.Device != 9 {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Reflected, got.Outgoing, got.Device = false, false, 0
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}

func FuzzChatContent(f *testing.F) {
	content, err := appendChatContent(nil, ChatMessage{Kind: 1, Body: []byte("body"), Metadata: []byte("metadata")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:len(chatContentTag)])
	f.Fuzz(func(t *testing.T, content []byte) {
		envelope := devicekeys.Envelope{Kind: devicekeys.KindIncomingMessage, Content: content}
		if !isChatContent(envelope) {
			return
		}
		message, err := parseChatContent(envelope)
		if err != nil {
			return
		}
		again, err := appendChatContent(nil, message)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseChatContent(devicekeys.Envelope{Kind: envelope.Kind, Content: again}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPublicKeysAreRememberedAndBounded(t *testing.T) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	var answer error
	keys := newPublicKeys(func(context.Context, csp.Identity) (*ecdh.PublicKey, error) {
		asked++
		if answer != nil {
			return nil, answer
		}
		return key.PublicKey(), nil
	})
	get := func(i int, asks int) {
		t.Helper()
		asked = 0
		if got, err := keys.get(t.Context(), csp.Identity(fmt.Appendf(nil, "%08d", i))); err != nil || !got.Equal(key.PublicKey()) {
			t.Fatalf("%v, %v", got, err)
		}
		if asked != asks {
			t.Fatalf("key %d was asked for %d times, want %d", i, asked, asks)
		}
	}
	for i := range 3 * maxPublicKeys {
		get(i, 1)
		get(i, 0)
	}
	get(2*maxPublicKeys, 0)
	get(2*maxPublicKeys-1, 1) // forgotten
	if len(keys.known) != maxPublicKeys {
		t.Errorf("%d keys are known", len(keys.known))
	}

	answer = errors.New("down")
	for range 2 { // an error is not remembered
		asked = 0
		if _, err := keys.get(t.Context(), csp.Identity{}); !errors.Is(err, answer) || asked != 1 || !mayPass(err) {
			t.Errorf("%v, asked %d times", err, asked)
		}
	}
	answer = fmt.Errorf("directory: %w", ErrUnknownIdentity)
	if _, err := keys.get(t.Context(), csp.Identity{}); mayPass(err) || !errors.Is(err, ErrUnknownIdentity) {
		t.Error(err)
	}
	keys = newPublicKeys(func(context.Context, csp.Identity) (*ecdh.PublicKey, error) { return nil, nil })
	if _, err := keys.get(t.Context(), csp.Identity{}); err == nil {
		t.Error("no key and no error")
	}
}
