package csp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// pair is two sides with a fixed key, their next box being the third.
func pair() (client, server *Session) {
	key := [32]byte{1, 2, 3}
	c, s := direction{cookie: Cookie{4}, boxes: 2}, direction{cookie: Cookie{5}, boxes: 2}
	return newSession(key, c, s), newSession(key, s, c)
}

func mustSeal(t testing.TB, s *Session, p Payload) []byte {
	t.Helper()
	frame, err := s.Seal(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestNonce(t *testing.T) {
	cookie := Cookie{0: 0xaa, 15: 0xbb}
	for _, test := range []struct {
		boxes uint64
		want  string
	}{
		{0, "0100000000000000"},
		{1, "0200000000000000"},
		{254, "ff00000000000000"},
		{255, "0001000000000000"},
		{1<<32 - 1, "0000000001000000"},
		{0x0102030405060707, "0807060504030201"},
	} {
		d := direction{cookie: cookie, boxes: test.boxes}
		nonce := d.nonce()
		if got := fmt.Sprintf("%x", nonce[16:]); got != test.want || Cookie(nonce[:16]) != cookie {
			t.Errorf("nonce after %d boxes is %x", test.boxes, nonce)
		}
	}
}

func TestLongestData(t *testing.T) {
	client, server := pair()
	data := bytes.Repeat([]byte{7}, MaxDataSize)
	frame := mustSeal(t, client, Payload{Type: Alert, Data: data})
	if len(frame) != 8194 || binary.LittleEndian.Uint16(frame) != 8192 {
		t.Errorf("frame has %d bytes and says %x", len(frame), frame[:2])
	}
	if got, err := server.Open(frame[2:]); err != nil || got.Type != Alert || !bytes.Equal(got.Data, data) {
		t.Errorf("opened %v with %d bytes (%v)", got.Type, len(got.Data), err)
	}

	before := []byte("before")
	dst, err := client.Seal(before, Payload{Data: make([]byte, 8173)})
	wantError(t, err, "payload: data has 8173 bytes, at most 8172")
	if string(dst) != "before" {
		t.Errorf("dst is %q beside the error", dst)
	}
	if _, err := server.Open(mustSeal(t, client, Payload{})[2:]); err != nil {
		t.Errorf("data that is too long has used a number up: %v", err)
	}
}

func TestSealAppends(t *testing.T) {
	client, _ := pair()
	want := mustSeal(t, client, Payload{Type: EchoRequest, Data: []byte("ping")})
	for _, room := range []int{0, 3, 100} {
		again, server := pair()
		dst := append(make([]byte, 0, 6+room), "before"...)
		got, err := again.Seal(dst, Payload{Type: EchoRequest, Data: []byte("ping")})
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("sealed %x (%v)", got, err)
		}
		// What is sealed next goes behind it.
		if got, err = again.Seal(got, Payload{Type: Alert}); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Open(got[6+2 : 6+len(want)]); err != nil {
			t.Error(err)
		}
		if p, err := server.Open(got[6+len(want)+2:]); err != nil || p.Type != Alert {
			t.Errorf("second frame is %+v (%v)", p, err)
		}
	}
}

// Data may lie where the frame goes.
func TestSealOntoItsOwnData(t *testing.T) {
	client, server := pair()
	buffer := []byte("abcdefghijklmnopqrstuvwxyz, and room for a box behind it")
	frame, err := client.Seal(buffer[:0], Payload{Type: Alert, Data: buffer[:26]})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := server.Open(frame[2:]); err != nil || string(got.Data) != "abcdefghijklmnopqrstuvwxyz" {
		t.Errorf("opened %q (%v)", got.Data, err)
	}
}

func TestOpenedDataIsTheCallers(t *testing.T) {
	client, server := pair()
	frame := mustSeal(t, client, Payload{Data: []byte("first")})
	first, err := server.Open(frame[2:])
	if err != nil {
		t.Fatal(err)
	}
	clear(frame)
	if _, err := server.Open(mustSeal(t, client, Payload{Data: []byte("other")})[2:]); err != nil {
		t.Fatal(err)
	}
	if string(first.Data) != "first" {
		t.Errorf("data has changed to %q", first.Data)
	}
}

func TestReservedBytesOfAPayload(t *testing.T) {
	client, server := pair()
	box := client.out.seal(nil, []byte{0x99, 0xff, 0xfe, 0xfd, 'x'}, &client.key)
	if got, err := server.Open(box); err != nil || got.Type != 0x99 || string(got.Data) != "x" {
		t.Errorf("opened %+v (%v)", got, err)
	}
	for _, data := range []string{"", "x"} {
		frame := mustSeal(t, client, Payload{Type: 0xff, Data: []byte(data)})
		plain, ok := server.in.open(frame[2:], &server.key)
		if !ok || string(plain) != "\xff\x00\x00\x00"+data {
			t.Errorf("sealed %x", plain)
		}
	}
}

// The boxes are right but for their size.
func TestOpenRefusesSizes(t *testing.T) {
	for _, test := range []struct {
		size int
		want string
	}{
		{0, "frame: box has 16 bytes, want at least 20"},
		{1, "frame: box has 17 bytes, want at least 20"},
		{3, "frame: box has 19 bytes, want at least 20"},
		{4, ""},
		{8176, ""},
		{8177, "frame: box has 8193 bytes, at most 8192"},
		{65_519, "frame: box has 65535 bytes, at most 8192"},
	} {
		client, server := pair()
		_, err := server.Open(client.out.seal(nil, make([]byte, test.size), &client.key))
		if test.want != "" {
			wantError(t, err, test.want)
		} else if err != nil {
			t.Errorf("%d bytes: %v", test.size, err)
		}
	}
	for _, size := range []int{0, 1, 2, 15} {
		_, server := pair()
		_, err := server.Open(make([]byte, size))
		wantError(t, err, fmt.Sprintf("frame: box has %d bytes, want at least 20", size))
	}
}

// Only the next box of the other side is opened. What is refused does not count.
func TestOpenRefusesAllButTheNext(t *testing.T) {
	client, server := pair()
	var boxes [4][]byte
	for i := range boxes {
		boxes[i] = mustSeal(t, client, Payload{Type: PayloadType(i), Data: []byte{byte(i)}})[2:]
	}
	own := mustSeal(t, server, Payload{})[2:]
	stranger := newSession([32]byte{9}, client.out, client.in)
	stranger.out.boxes = 2
	foreign := mustSeal(t, stranger, Payload{})[2:]
	for turn := range boxes {
		for i, box := range boxes {
			if i == turn {
				continue
			}
			_, err := server.Open(box)
			wantError(t, err, "frame: box cannot be opened")
		}
		for _, box := range [][]byte{own, foreign, make([]byte, 20), bytes.Repeat([]byte{0xff}, 8192)} {
			_, err := server.Open(box)
			wantError(t, err, "frame: box cannot be opened")
		}
		if got, err := server.Open(boxes[turn]); err != nil || got.Type != PayloadType(turn) {
			t.Fatalf("box %d: %+v (%v)", turn, got, err)
		}
	}
}

func TestEveryBitOfABoxCounts(t *testing.T) {
	client, server := pair()
	box := mustSeal(t, client, Payload{Type: EchoRequest, Data: bytes.Repeat([]byte{3}, 70)})[2:]
	flips(t, "frame", box, func(b []byte) error {
		s := *server
		_, err := s.Open(b)
		return err
	})
}

// The two directions share nothing that is written: the race detector looks on.
func TestDirectionsInTwoGoroutines(t *testing.T) {
	client, server := pair()
	const rounds = 200
	frames := make(chan []byte)
	go func() {
		defer close(frames)
		for i := range rounds {
			own, err := client.Seal(nil, Payload{Data: []byte{byte(i)}})
			if err == nil {
				_, err = server.Seal(nil, Payload{Data: []byte("not looked at")})
			}
			if err != nil {
				t.Error(err)
				return
			}
			frames <- own
		}
	}()
	opened := 0
	for frame := range frames {
		if p, err := server.Open(frame[2:]); err != nil || p.Data[0] != byte(opened) {
			t.Errorf("frame %d: %+v (%v)", opened, p, err)
		}
		opened++
	}
	if opened != rounds {
		t.Errorf("%d frames are opened, want %d", opened, rounds)
	}
}

func TestSealDoesNotAllocate(t *testing.T) {
	client, server := pair()
	buffer := make([]byte, 0, MaxFrameSize)
	data := make([]byte, MaxDataSize)
	seal := func() {
		frame, err := client.Seal(buffer, Payload{Data: data})
		if err != nil || len(frame) != MaxFrameSize {
			t.Errorf("frame has %d bytes (%v)", len(frame), err)
		}
	}
	if n := testing.AllocsPerRun(100, seal); n != 0 {
		t.Errorf("Seal allocates %v times", n)
	}
	server.in.boxes = client.out.boxes
	open := func() {
		frame, _ := client.Seal(buffer, Payload{Data: data})
		if _, err := server.Open(frame[2:]); err != nil {
			t.Error(err)
		}
	}
	if n := testing.AllocsPerRun(100, open); n != 1 {
		t.Errorf("Open allocates %v times, want the data alone", n)
	}
}

func BenchmarkSessionSeal(b *testing.B) {
	for _, size := range []int{200, MaxDataSize} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			client, _ := pair()
			buffer, data := make([]byte, 0, MaxFrameSize), make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := client.Seal(buffer, Payload{Data: data}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSessionOpen(b *testing.B) {
	for _, size := range []int{200, MaxDataSize} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			client, server := pair()
			box := mustSeal(b, client, Payload{Data: make([]byte, size)})[2:]
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				server.in.boxes = 2
				if _, err := server.Open(box); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleSession() {
	client, server := pair() // both come out of a handshake

	frame, err := client.Seal(nil, Payload{Type: EchoRequest, Data: []byte("ping")})
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := server.Open(frame[2:])
	if err != nil {
		fmt.Println(err) // end the connection
		return
	}
	fmt.Printf("%v: %s\n", got.Type, got.Data)

	_, err = server.Open(frame[2:])
	fmt.Println(err)
	// Output:
	// echo request: ping
	// frame: box cannot be opened
}
