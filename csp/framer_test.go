package csp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// stream is what a server sends, and the units in it.
func stream(boxes ...int) (bytes []byte, units []int) {
	units = []int{80, 32}
	data := make([]byte, 112)
	for _, size := range boxes {
		data = binary.LittleEndian.AppendUint16(data, uint16(size))
		data = append(data, make([]byte, size)...)
		units = append(units, 2+size)
	}
	for i := range 112 {
		data[i] = 0xff // a length, if anybody took it for one
	}
	return data, units
}

// cut feeds a framer as a reader of a socket does: what is not taken away is there
// again the next time, with more behind it.
func cut(f *Framer, chunks ...[]byte) (units [][]byte, rest []byte, err error) {
	var held []byte
	for _, chunk := range chunks {
		held = append(held, chunk...)
		for {
			size, err := f.Next(held)
			if err != nil {
				return units, held, err
			}
			if size == 0 {
				break
			}
			units = append(units, held[:size:size])
			held = held[size:]
		}
	}
	return units, held, nil
}

func checkUnits(t *testing.T, got [][]byte, data []byte, want []int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d units, want %d", len(got), len(want))
	}
	for i, unit := range got {
		if len(unit) != want[i] {
			t.Fatalf("unit %d has %d bytes, want %d", i, len(unit), want[i])
		}
	}
	if joined := bytes.Join(got, nil); !bytes.Equal(joined, data[:len(joined)]) {
		t.Error("units are not the stream")
	}
}

// A stream that is cut anywhere, in two, gives the same units.
func TestFramerAtEveryCut(t *testing.T) {
	data, want := stream(20, 0, 1, 255, 256, 300)
	for at := range len(data) + 1 {
		units, rest, err := cut(NewFramer(MaxFrameSize), data[:at], data[at:])
		if err != nil || len(rest) != 0 {
			t.Fatalf("cut at %d: %d bytes are left (%v)", at, len(rest), err)
		}
		checkUnits(t, units, data, want)
	}
}

func TestFramerByteByByte(t *testing.T) {
	data, want := stream(20, 0, 300)
	units, rest, err := cut(NewFramer(MaxFrameSize), bytes.SplitAfter(data, nil)...)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%d bytes are left (%v)", len(rest), err)
	}
	checkUnits(t, units, data, want)
}

// A unit is there with its last byte and not before.
func TestFramerWaitsForTheWholeUnit(t *testing.T) {
	data, units := stream(20, 0, 8192)
	framer := NewFramer(MaxFrameSize)
	for _, size := range units {
		for held := range size {
			if got, err := framer.Next(data[:held]); got != 0 || err != nil {
				t.Fatalf("%d of %d bytes are a unit of %d (%v)", held, size, got, err)
			}
		}
		if got, err := framer.Next(data); got != size || err != nil {
			t.Fatalf("unit has %d bytes (%v), want %d", got, err, size)
		}
		data = data[size:]
	}
	if got, err := framer.Next(nil); got != 0 || err != nil {
		t.Errorf("nothing is a unit of %d (%v)", got, err)
	}
}

func TestFramerLimit(t *testing.T) {
	for _, test := range []struct {
		limit, box int
		want       string
	}{
		{MaxFrameSize, 8192, ""},
		{MaxFrameSize, 8193, "unit is too large: 8195 bytes, at most 8194"},
		{65_532, 65_530, ""},
		{65_532, 65_531, "unit is too large: 65533 bytes, at most 65532"},
		{65_532, 65_535, "unit is too large: 65537 bytes, at most 65532"},
		{1 << 20, 65_535, ""},
		{80, 78, ""},
		{80, 79, "unit is too large: 81 bytes, at most 80"},
	} {
		t.Run(fmt.Sprintf("%d at most %d", test.box, test.limit), func(t *testing.T) {
			framer := NewFramer(test.limit)
			data, want := stream(test.box)
			early := data[:114] // the length and no byte behind it
			if units, _, err := cut(framer, early[:113]); err != nil || len(units) != 2 {
				t.Fatalf("%d units before the length (%v)", len(units), err)
			}
			for range 2 {
				_, err := framer.Next(early[112:])
				if test.want == "" {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				wantError(t, err, test.want)
				if !errors.Is(err, ErrUnitTooLarge) {
					t.Errorf("error %v does not wrap ErrUnitTooLarge", err)
				}
			}
			units, _, err := cut(NewFramer(test.limit), data)
			if (err == nil) != (test.want == "") {
				t.Errorf("whole stream: %v", err)
			}
			if err == nil {
				checkUnits(t, units, data, want)
			}
		})
	}
	for _, framer := range []*Framer{NewFramer(79), NewFramer(0), NewFramer(-1), {}} {
		if _, err := framer.Next(nil); !errors.Is(err, ErrUnitTooLarge) {
			t.Errorf("a framer that takes no server hello: %v", err)
		}
	}
}

// The units of a real session are what its two sides make and open.
func TestFramerOnVectors(t *testing.T) {
	v := readVectors(t)
	data := append(bytes.Clone(v.Handshake.ServerHello), v.Handshake.LoginAck...)
	want := []int{80, 32}
	for _, p := range v.Payloads {
		if p.Direction == serverToClient {
			data = append(data, p.Frame...)
			want = append(want, len(p.Frame))
		}
	}
	units, rest, err := cut(NewFramer(MaxFrameSize), data)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%d bytes are left (%v)", len(rest), err)
	}
	checkUnits(t, units, data, want)
	client, _ := v.sessions(t)
	for _, unit := range units[2:] {
		if _, err := client.Open(unit[2:]); err != nil {
			t.Error(err)
		}
	}
}

func TestFramerDoesNotAllocate(t *testing.T) {
	data, _ := stream(300)
	framer := NewFramer(MaxFrameSize)
	framer.units = 2
	if n := testing.AllocsPerRun(100, func() { framer.Next(data[112:]) }); n != 0 {
		t.Errorf("Next allocates %v times", n)
	}
}

func BenchmarkFramer(b *testing.B) {
	data, _ := stream(300)
	framer := NewFramer(MaxFrameSize)
	framer.units = 2
	b.ReportAllocs()
	for b.Loop() {
		if size, err := framer.Next(data[112:]); size != 302 || err != nil {
			b.Fatal(size, err)
		}
	}
}

func ExampleFramer() {
	framer := NewFramer(MaxFrameSize)
	received := make([]byte, 80+32+1) // hello, ack and half a length
	for {
		size, err := framer.Next(received)
		if err != nil {
			fmt.Println(err)
			return
		}
		if size == 0 {
			break
		}
		fmt.Println("unit of", size)
		received = received[size:]
	}
	fmt.Println("rest of", len(received))
	// Output:
	// unit of 80
	// unit of 32
	// rest of 1
}
