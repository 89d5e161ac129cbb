package csp

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/crypto/nacl/box"
	"golang.org/x/crypto/nacl/secretbox"
)

// Another implementation of the box reads ours.
func TestMessageBoxIsNaClsBox(t *testing.T) {
	sender, receiver := newKey(t), newKey(t)
	nonce := [24]byte{1, 2, 3}
	sealed, err := SealMessage(rand.Reader, sender, receiver.PublicKey(), nonce, 0x42, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	plain, ok := box.Open(nil, sealed, &nonce, (*[32]byte)(sender.PublicKey().Bytes()), (*[32]byte)(receiver.Bytes()))
	if !ok || !bytes.HasPrefix(plain, []byte("\x42body")) {
		t.Fatalf("opened %q", plain)
	}
	padding := plain[5:]
	if want := bytes.Repeat([]byte{byte(len(padding))}, len(padding)); len(padding) < 28 || !bytes.Equal(padding, want) {
		t.Errorf("padding is %x", padding)
	}
}

// Each byte that may be the length is taken as it is, and no other one: so each
// length is as likely as the others.
func TestPaddingIsUnbiased(t *testing.T) {
	for _, size := range []int{0, 1, 5, 30, 31, 32, 33, 300, MaxBodySize} {
		for drawn := range 256 {
			want := drawn
			if drawn == 0 || size+drawn < 32 {
				want = 200 // the second one drawn
			}
			got, err := drawPadding(source([]byte{byte(drawn), 200}), size)
			if err != nil || int(got) != want {
				t.Errorf("padding of a body of %d bytes is %d (%v) after a random %d, want %d", size, got, err, drawn, want)
			}
		}
	}
}

func TestSealMessagePads(t *testing.T) {
	sender, receiver := newKey(t), newKey(t)
	for _, test := range []struct{ body, drawn, box int }{
		{0, 32, 16 + 1 + 32}, {0, 255, 16 + 1 + 255}, {31, 1, 16 + 1 + 32}, {32, 1, 16 + 1 + 33}, {5, 27, 16 + 1 + 32}, {300, 77, 16 + 1 + 377},
	} {
		body := bytes.Repeat([]byte{byte(test.drawn)}, test.body) // like its padding
		sealed, err := SealMessage(source([]byte{byte(test.drawn)}), sender, receiver.PublicKey(), [24]byte{}, 7, body)
		if err != nil || len(sealed) != test.box {
			t.Errorf("box of %+v has %d bytes (%v)", test, len(sealed), err)
		}
		kind, got, err := OpenMessage(receiver, sender.PublicKey(), [24]byte{}, sealed)
		if err != nil || kind != 7 || !bytes.Equal(got, body) {
			t.Errorf("%+v is opened as kind %d, body %x (%v)", test, kind, got, err)
		}
	}
}

func TestPaddingFromABadSource(t *testing.T) {
	sender, receiver := newKey(t), newKey(t)
	seal := func(source io.Reader) error {
		_, err := SealMessage(source, sender, receiver.PublicKey(), [24]byte{}, 1, nil)
		return err
	}
	wantError(t, seal(source(bytes.Repeat([]byte{31}, 1000))), "random source: yields small bytes again and again")
	if err := seal(source(append(bytes.Repeat([]byte{31}, 127), 32))); err != nil {
		t.Error(err)
	}
	if err := seal(source(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("error is %v", err)
	}
	if err := seal(source([]byte{31})); !errors.Is(err, io.EOF) {
		t.Errorf("error is %v", err)
	}
}

// The longest body fits with the longest padding, and fills the frame.
func TestLongestBody(t *testing.T) {
	sender, receiver := newKey(t), newKey(t)
	body := bytes.Repeat([]byte("x"), MaxBodySize)
	sealed, err := SealMessage(source([]byte{255}), sender, receiver.PublicKey(), [24]byte{}, KindText, body)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Message{Box: sealed}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	client, _ := pair()
	if frame := mustSeal(t, client, Payload{Type: OutgoingMessage, Data: data}); len(frame) != MaxFrameSize {
		t.Errorf("frame has %d bytes, want %d", len(frame), MaxFrameSize)
	}
	if _, got, err := OpenMessage(receiver, sender.PublicKey(), [24]byte{}, sealed); err != nil || !bytes.Equal(got, body) {
		t.Errorf("opened %d bytes (%v)", len(got), err)
	}
	if MaxBodySize != 7812 {
		t.Errorf("longest body has %d bytes", MaxBodySize)
	}
	_, err = SealMessage(source([]byte{255}), sender, receiver.PublicKey(), [24]byte{}, KindText, append(body, 'x'))
	wantError(t, err, "message: body has 7813 bytes, at most 7812")
}

func TestOpenMessageRefuses(t *testing.T) {
	sender, receiver := newKey(t), newKey(t)
	key, err := sharedKey("key", sender, receiver.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	long := string(bytes.Repeat([]byte{255}, 255))
	for _, test := range []struct{ name, plain, body, want string }{
		{"smallest", "k\x01", "", ""},
		{"short padding is taken", "kbody\x02\x02", "body", ""},
		{"padding alone", "k\x03\x03\x03", "", ""},
		{"longest padding", "kbody" + long, "body", ""},
		{"body that ends like padding", "kbody\x02\x02\x02", "body\x02", ""},
		{"empty", "", "", "message: box is empty"},
		{"kind alone", "k", "", "message: padding is missing"},
		{"padding of 0", "kbody\x00", "", "message: padding of 0 bytes in 5"},
		{"0 alone", "k\x00", "", "message: padding of 0 bytes in 1"},
		{"padding longer than the content", "k\x02", "", "message: padding of 2 bytes in 1"},
		{"padding that takes the kind", "\x03\x03\x03", "", "message: padding of 3 bytes in 2"},
		{"much longer", "kbody\xff", "", "message: padding of 255 bytes in 5"},
		{"the first differs", "kbody\x01\x03\x03", "", "message: padding has bytes that differ"},
		{"one differs", "kbody\x03\x02\x03", "", "message: padding has bytes that differ"},
		{"the first of the longest differs", "k\xfe" + long[1:], "", "message: padding has bytes that differ"},
	} {
		t.Run(test.name, func(t *testing.T) {
			nonce := [24]byte{5}
			kind, body, err := OpenMessage(receiver, sender.PublicKey(), nonce, secretbox.Seal(nil, []byte(test.plain), &nonce, &key))
			if test.want == "" {
				if err != nil || kind != 'k' || string(body) != test.body {
					t.Errorf("opened %d %q (%v), want %q", kind, body, err, test.body)
				}
				return
			}
			wantError(t, err, test.want)
			if kind != 0 || body != nil {
				t.Errorf("beside the error are %d and %q", kind, body)
			}
		})
	}
}

func TestBoxesAreForOnePairAndNonce(t *testing.T) {
	sender, receiver, other := newKey(t), newKey(t), newKey(t)
	nonce := [24]byte{1}
	message, err := SealMessage(source([]byte{28}), sender, receiver.PublicKey(), nonce, 1, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := SealMetadata(sender, receiver.PublicKey(), nonce, []byte("metadata"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, fine bool, own *ecdh.PrivateKey, peer *ecdh.PublicKey, nonce [24]byte, message, metadata []byte) {
		t.Run(name, func(t *testing.T) {
			_, body, err := OpenMessage(own, peer, nonce, message)
			if fine && (err != nil || string(body) != "body") {
				t.Errorf("message is %q (%v)", body, err)
			} else if !fine {
				wantError(t, err, "message: box cannot be opened")
			}
			plain, err := OpenMetadata(own, peer, nonce, metadata)
			if fine && (err != nil || string(plain) != "metadata") {
				t.Errorf("metadata is %q (%v)", plain, err)
			} else if !fine {
				wantError(t, err, "metadata: box cannot be opened")
			}
		})
	}
	check("receiver", true, receiver, sender.PublicKey(), nonce, message, metadata)
	check("sender", true, sender, receiver.PublicKey(), nonce, message, metadata)
	check("stranger", false, other, sender.PublicKey(), nonce, message, metadata)
	check("another sender", false, receiver, other.PublicKey(), nonce, message, metadata)
	check("another nonce", false, receiver, sender.PublicKey(), [24]byte{2}, message, metadata)
	check("boxes swapped", false, receiver, sender.PublicKey(), nonce, metadata, message)
	check("boxes cut", false, receiver, sender.PublicKey(), nonce, message[:15], metadata[:15])
	check("no boxes", false, receiver, sender.PublicKey(), nonce, nil, nil)

	flips(t, "message box", message, func(b []byte) error {
		_, _, err := OpenMessage(receiver, sender.PublicKey(), nonce, b)
		return err
	})
}

func TestEndToEndKeys(t *testing.T) {
	own := newKey(t)
	foreign, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const notX25519, noSecret, low = "other key is not an X25519 key", "secret key is not an X25519 key", "other key is a low-order point"
	for i, test := range []struct {
		own   *ecdh.PrivateKey
		other *ecdh.PublicKey
		want  string
	}{
		{own, nil, notX25519},
		{own, new(ecdh.PublicKey), notX25519},
		{own, foreign.PublicKey(), notX25519},
		{nil, own.PublicKey(), noSecret},
		{new(ecdh.PrivateKey), own.PublicKey(), noSecret},
		{foreign, own.PublicKey(), noSecret},
		{own, lowOrder(t)[0], low},
		{own, lowOrder(t)[1], low},
		{own, lowOrder(t)[2], low},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			_, err := SealMessage(rand.Reader, test.own, test.other, [24]byte{}, 1, nil)
			wantError(t, err, test.want)
			_, _, err = OpenMessage(test.own, test.other, [24]byte{}, make([]byte, 50))
			wantError(t, err, test.want)
			_, err = SealMetadata(test.own, test.other, [24]byte{}, nil)
			wantError(t, err, test.want)
			_, err = OpenMetadata(test.own, test.other, [24]byte{}, make([]byte, 50))
			wantError(t, err, test.want)
		})
	}
}

func ExampleSealMessage() {
	alice, bob := exampleKey(1), exampleKey(2)
	nonce := [NonceSize]byte{} // random, in earnest

	box, err := SealMessage(rand.Reader, alice, bob.PublicKey(), nonce, KindText, []byte("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	kind, body, err := OpenMessage(bob, alice.PublicKey(), nonce, box)
	fmt.Printf("kind %d: %s, %v\n", kind, body, err)
	// Output: kind 1: hello, <nil>
}

// exampleKey is a key that is no secret.
func exampleKey(seed byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		panic(err)
	}
	return key
}
