package csp

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"
)

func FuzzParseExtensions(f *testing.F) {
	plain := readVectors(f).Derived.Extensions
	f.Add([]byte(plain))
	f.Add([]byte(plain[:50]))
	f.Add([]byte("\x63\x01\x00x\x02\x01\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		given := bytes.Clone(plain)
		parsed, err := ParseExtensions(plain)
		if !bytes.Equal(plain, given) {
			t.Fatal("parsing changed the bytes")
		}
		if err != nil {
			return
		}
		encoded := parsed.Append(nil)
		again, err := ParseExtensions(encoded)
		if err != nil {
			t.Fatalf("%x: %v", encoded, err)
		}
		sameExtensions(t, again, parsed)
		if len(encoded) > len(plain) {
			t.Errorf("%x is encoded longer: %x", plain, encoded)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	seeds := 0
	for _, p := range readVectors(f).Payloads {
		if p.Type == OutgoingMessage {
			f.Add([]byte(p.Data))
			f.Add([]byte(p.Data[:100]))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := ParseMessage(data)
		if err != nil {
			return
		}
		encoded, err := parsed.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(data)
		want[29] = 0 // reserved
		if !bytes.Equal(encoded, want) {
			t.Errorf("encoded\n%x, want\n%x", encoded, want)
		}
	})
}

// FuzzParsePayloads is about the small ones, all at once.
func FuzzParsePayloads(f *testing.F) {
	for _, p := range readVectors(f).Payloads {
		f.Add([]byte(p.Data))
	}
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if ack, err := ParseMessageAck(data); err == nil && !bytes.Equal(ack.Append(nil), data) {
			t.Errorf("ack %x is encoded as %x", data, ack.Append(nil))
		}
		if timeout, err := ParseIdleTimeout(data); err == nil && !bytes.Equal(timeout.Append(nil), data) {
			t.Errorf("idle timeout %x is encoded as %x", data, timeout.Append(nil))
		}
		if closed, err := ParseClosed(data); err == nil {
			if again, err := ParseClosed(closed.Append(nil)); err != nil || again != closed {
				t.Errorf("%+v is parsed again as %+v (%v)", closed, again, err)
			}
		}
		if id, err := ParseIdentity(string(data)); err == nil && id.String() != string(data) {
			t.Errorf("identity %q prints as %v", data, id)
		}
	})
}

func FuzzParseLoginData(f *testing.F) {
	plain := readVectors(f).Derived.LoginData
	f.Add([]byte(plain))
	old := bytes.Clone(plain)
	copy(old[8:40], "1.0;A;en/US;Pixel;9\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Add(old)
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) != loginDataSize {
			return
		}
		parsed, err := parseLoginData((*[loginDataSize]byte)(plain))
		if err != nil || len(parsed.clientInfo) > MaxOldClientInfoSize {
			return // replaced bytes may be too long to go back
		}
		encoded := parsed.encode()
		if again, err := parseLoginData(&encoded); err != nil || again != parsed {
			t.Errorf("%+v is parsed again as %+v (%v)", parsed, again, err)
		}
	})
}

// FuzzServerHandshake is about whatever a client sends, step by step.
func FuzzServerHandshake(f *testing.F) {
	v := readVectors(f)
	login := v.Handshake.Login
	f.Add([]byte(v.Handshake.ClientHello), []byte(login[:LoginSize]), []byte(login[LoginSize:]))
	f.Add([]byte(v.Handshake.ClientHello), []byte(v.LoginWithoutExtensions), []byte{})
	f.Add(make([]byte, 48), make([]byte, 144), make([]byte, 16))
	f.Fuzz(func(t *testing.T, hello, login, extensions []byte) {
		server, err := NewServerHandshake(source(v.Secrets.TemporaryServerSecret, v.Secrets.ServerCookie), secretKey(t, v.Secrets.ServerSecret))
		if err != nil {
			t.Fatal(err)
		}
		_, helloErr := server.Hello(hello)
		request, loginErr := server.Login(login)
		if loginErr == nil && request.ExtensionsSize > 0 {
			_, loginErr = server.Extensions(extensions)
		}
		authErr := server.Authenticate(publicKey(t, v.Secrets.ClientPublic))
		if _, _, err := server.Finish(LoginAck{}); err != nil {
			return
		}
		// Nobody finds a login that is not in the seeds.
		own := bytes.Equal(login, v.LoginWithoutExtensions) ||
			bytes.Equal(append(bytes.Clone(login), extensions...), v.Handshake.Login)
		if !own || !bytes.Equal(hello, v.Handshake.ClientHello) || helloErr != nil || loginErr != nil || authErr != nil {
			t.Errorf("%x, %x, %x is logged in", hello, login, extensions)
		}
	})
}

// FuzzClientHandshake is about whatever a server sends.
func FuzzClientHandshake(f *testing.F) {
	v := readVectors(f)
	f.Add([]byte(v.Handshake.ServerHello), []byte(v.Handshake.LoginAck))
	f.Add(make([]byte, 80), make([]byte, 32))
	f.Fuzz(func(t *testing.T, hello, ack []byte) {
		client := v.client(t, v.login(t))
		if _, err := client.Login(hello); err == nil && !bytes.Equal(hello, v.Handshake.ServerHello) {
			t.Errorf("hello %x is taken", hello)
		}
		if _, _, err := client.Finish(ack); err == nil && !bytes.Equal(ack, v.Handshake.LoginAck) {
			t.Errorf("ack %x is taken", ack)
		}
	})
}

// FuzzSessionOpen: only the next box is opened, and what came before it does no harm.
func FuzzSessionOpen(f *testing.F) {
	v := readVectors(f)
	for _, p := range v.Payloads {
		f.Add([]byte(p.Frame[2:]))
	}
	f.Add([]byte{})
	f.Add(make([]byte, 8193))
	f.Fuzz(func(t *testing.T, box []byte) {
		client, server := pair()
		next := mustSeal(t, client, Payload{Type: Alert, Data: []byte("next")})[2:]
		if got, err := server.Open(box); err == nil {
			t.Fatalf("%x is opened: %+v", box, got)
		}
		if got, err := server.Open(next); err != nil || got.Type != Alert || string(got.Data) != "next" {
			t.Errorf("opened %+v (%v)", got, err)
		}
		// The same bytes as what is in a box.
		if len(box) < payloadHeaderSize || len(box) > MaxBoxSize-BoxOverhead {
			return
		}
		got, err := server.Open(client.out.seal(nil, box, &client.key))
		if err != nil || got.Type != PayloadType(box[0]) || !bytes.Equal(got.Data, box[4:]) {
			t.Errorf("opened %+v (%v), want %x", got, err, box)
		}
	})
}

// FuzzOpenMessage puts any bytes into a box: only right padding is cut off.
func FuzzOpenMessage(f *testing.F) {
	v := readVectors(f)
	f.Add([]byte(v.MessageCrypto.Plain))
	f.Add([]byte("k\x00"))
	f.Add([]byte("kbody\x03\x02\x03"))
	f.Add([]byte{})
	sender, receiver := exampleKey(1), exampleKey(2)
	key, err := sharedKey("key", sender, receiver.PublicKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		nonce := [24]byte{9}
		kind, body, err := OpenMessage(receiver, sender.PublicKey(), nonce, secretbox.Seal(nil, plain, &nonce, &key))
		if err != nil {
			return
		}
		size := len(plain) - 1 - len(body)
		want := append(append([]byte{kind}, body...), bytes.Repeat([]byte{byte(size)}, size)...)
		if size < 1 || size > 255 || !bytes.Equal(plain, want) {
			t.Errorf("%x is opened as kind %d, body %x", plain, kind, body)
		}
	})
}

// FuzzFramer: a stream gives the same units whole and in pieces, whatever the
// pieces are. A piece has as many bytes as the next byte of sizes says, and one.
func FuzzFramer(f *testing.F) {
	data, _ := stream(20, 0, 300)
	f.Add(data, []byte{0, 1, 2, 80}, uint16(8194))
	f.Add(data, []byte{79, 31}, uint16(300))
	f.Add(data, []byte{110, 3}, uint16(301))
	f.Add([]byte{}, []byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, data, sizes []byte, limit uint16) {
		var pieces [][]byte
		for rest := data; len(rest) > 0; {
			size := len(rest)
			if len(sizes) > 0 {
				size, sizes = min(size, int(sizes[0])+1), sizes[1:]
			}
			pieces, rest = append(pieces, rest[:size]), rest[size:]
		}
		whole, wholeRest, wholeErr := cut(NewFramer(int(limit)), data)
		units, rest, err := cut(NewFramer(int(limit)), pieces...)
		if len(data) > 0 && (err == nil) != (wholeErr == nil) {
			t.Fatalf("in pieces the error is %v, whole %v", err, wholeErr)
		}
		if len(units) != len(whole) || err == nil && !bytes.Equal(rest, wholeRest) {
			t.Fatalf("in pieces %d units and %d bytes, whole %d and %d", len(units), len(rest), len(whole), len(wholeRest))
		}
		total := 0
		for i := range units {
			if !bytes.Equal(units[i], whole[i]) || len(units[i]) == 0 || len(units[i]) > int(limit) {
				t.Fatalf("unit %d is %x, whole %x", i, units[i], whole[i])
			}
			total += len(units[i])
		}
		if err == nil && total+len(rest) != len(data) {
			t.Errorf("%d bytes of %d are there", total+len(rest), len(data))
		}
	})
}
