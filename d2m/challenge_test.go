package d2m

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/nacl/box"

	"openmediator/kdf"
)

// verifierOf is a Verifier with the secrets of a vector.
func verifierOf(t testing.TB, v challengeVector) *Verifier {
	t.Helper()
	verifier, err := NewVerifier(bytes.NewReader(append(bytes.Clone(v.ESKSecret), v.Challenge...)))
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func TestVectorChallenge(t *testing.T) {
	for _, v := range readVectors(t).ChallengeResponse {
		verifier := verifierOf(t, v)
		hello := verifier.Hello()
		if !bytes.Equal(hello.ESK[:], v.ESKPublic) || !bytes.Equal(hello.Challenge[:], v.Challenge) {
			t.Errorf("hello is %+v, want esk %x, challenge %x", hello, v.ESKPublic, v.Challenge)
		}
		pathKey := mustPrivateKey([32]byte(v.PathKeySecret))
		response, err := Respond(pathKey, hello.ESK, hello.Challenge, [24]byte(v.Nonce))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(response[:], v.Response) {
			t.Errorf("response is\n%x, want\n%x", response, []byte(v.Response))
		}
		if !verifier.Check(GroupID(v.GroupID), (*[72]byte)(v.Response)) {
			t.Error("response is refused")
		}
	}
}

func TestB5_WrongResponses(t *testing.T) {
	vectors := readVectors(t).ChallengeResponse
	v, other := vectors[0], vectors[1]
	verifier := verifierOf(t, v)
	group := GroupID(v.GroupID)

	t.Run("every bit counts", func(t *testing.T) {
		for bit := range 8 * ResponseSize {
			response := [ResponseSize]byte(v.Response)
			response[bit/8] ^= 1 << (bit % 8)
			if verifier.Check(group, &response) {
				t.Errorf("response with bit %d changed is taken", bit)
			}
		}
	})
	refused := func(name string, group GroupID, response []byte) {
		t.Run(name, func(t *testing.T) {
			if verifier.Check(group, (*[72]byte)(response)) {
				t.Error("response is taken")
			}
		})
	}
	refused("of another group", GroupID(other.GroupID), v.Response)
	refused("for another connection", GroupID(other.GroupID), other.Response)
	refused("zeroes", group, make([]byte, 72))
	refused("low-order group", GroupID{}, v.Response)
	refused("low-order group of order four", GroupID{1}, v.Response)

	// With a low-order point the key is known to all, whatever the secret is.
	hello := verifier.Hello()
	for _, key := range [][32]byte{{}, kdf.HSalsa20(new([32]byte))} {
		response := sealChallenge(&key, hello.Challenge, new([24]byte))
		refused("low-order group with a key that all know", GroupID{}, response[:])
	}

	pathKey := mustPrivateKey([32]byte(v.PathKeySecret))
	response, err := Respond(pathKey, [32]byte(other.ESKPublic), hello.Challenge, [24]byte{})
	if err != nil {
		t.Fatal(err)
	}
	refused("for another esk", group, response[:])
	if response, err = Respond(pathKey, hello.ESK, Challenge(other.Challenge), [24]byte{}); err != nil {
		t.Fatal(err)
	}
	refused("for another challenge", group, response[:])
}

func TestRespondRefusesLowOrderESK(t *testing.T) {
	_, err := Respond(mustPrivateKey([32]byte{7}), [32]byte{1}, Challenge{}, [24]byte{})
	if err == nil || err.Error() != "server hello: esk is a low-order point" {
		t.Errorf("error is %v", err)
	}
}

func TestB2_FreshPerConnection(t *testing.T) {
	first, err := NewVerifier(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewVerifier(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, b := first.Hello(), second.Hello()
	if a.ESK == b.ESK || a.Challenge == b.Challenge {
		t.Error("two connections share esk or challenge")
	}
	if a.Version != 0 {
		t.Errorf("version is %d, want 0", a.Version)
	}
	if a != first.Hello() {
		t.Error("hello changes from call to call")
	}
}

func TestNewVerifierPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{0, 31, 32, 63} {
		source := iotest.ErrReader(broken)
		_, err := NewVerifier(&prefixReader{bytes.NewReader(make([]byte, size)), source})
		if !errors.Is(err, broken) {
			t.Errorf("error after %d bytes is %v", size, err)
		}
	}
}

// prefixReader reads its first reader to the end and then the second.
type prefixReader struct {
	first, second interface{ Read([]byte) (int, error) }
}

func (r *prefixReader) Read(p []byte) (int, error) {
	if n, err := r.first.Read(p); err == nil {
		return n, nil
	}
	return r.second.Read(p)
}

func TestSharedKeyIsThatOfNaClBox(t *testing.T) {
	for i := range 50 {
		secret, public := [32]byte{byte(i), 1}, [32]byte{byte(i), 9}
		var want [32]byte
		box.Precompute(&want, &public, &secret)
		got, err := sharedKey(mustPrivateKey(secret), public)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("key %d is %x, want %x", i, got, want)
		}
	}
}

func TestB42_VerifierPrintsNoSecret(t *testing.T) {
	v := readVectors(t).ChallengeResponse[0]
	verifier := verifierOf(t, v)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, verifier), fmt.Sprintf(verb, *verifier)} {
			if text != "d2m.Verifier" {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

func TestB42_GroupIDPrintsShort(t *testing.T) {
	group := GroupID(readVectors(t).ChallengeResponse[2].GroupID)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		if text := fmt.Sprintf(verb, group); text != "c4f2c20b…" {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	if text := fmt.Sprintf("%+v", ClientURLInfo{GroupID: group, ServerGroup: "4f"}); text != "{GroupID:c4f2c20b… ServerGroup:4f}" {
		t.Errorf("URL info prints %s", text)
	}
	if text := fmt.Sprintf("%x", group); text != groupHex {
		t.Errorf("%%x prints %s", text)
	}
	if text := fmt.Sprintf("%X", group); text != strings.ToUpper(groupHex) {
		t.Errorf("%%X prints %s", text)
	}
}

func BenchmarkVerifierNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewVerifier(rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifierCheck(b *testing.B) {
	v := readVectors(b).ChallengeResponse[0]
	verifier := verifierOf(b, v)
	group, response := GroupID(v.GroupID), [72]byte(v.Response)
	b.ReportAllocs()
	for b.Loop() {
		if !verifier.Check(group, &response) {
			b.Fatal("response is refused")
		}
	}
}

func BenchmarkGroupIDValid(b *testing.B) {
	group := GroupID(readVectors(b).ChallengeResponse[0].GroupID)
	b.ReportAllocs()
	for b.Loop() {
		if !group.Valid() {
			b.Fatal("group id is refused")
		}
	}
}

// Both sides of the challenge.
func ExampleVerifier() {
	pathKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	group := GroupID(pathKey.PublicKey().Bytes())

	// The mediator, once per connection.
	verifier, err := NewVerifier(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := verifier.Hello()

	// The device.
	var nonce [24]byte
	rand.Read(nonce[:])
	response, err := Respond(pathKey, hello.ESK, hello.Challenge, nonce)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The mediator again.
	fmt.Println(verifier.Check(group, &response))
	response[71] ^= 1
	fmt.Println(verifier.Check(group, &response))
	// Output:
	// true
	// false
}
