package d2m

import (
	"bytes"
	"testing"
)

// FuzzParse is about all 21 decoders: the first byte chooses.
func FuzzParse(f *testing.F) {
	file := readVectors(f)
	seen := map[Type]bool{}
	for _, vectors := range [][]frameVector{file.ProtobufFrames, file.StructFrames, file.Invalid} {
		for _, v := range vectors {
			seen[v.Type] = true
			f.Add([]byte(v.Frame))
		}
	}
	if len(seen) != 21 {
		f.Fatalf("seeds of %d types, want 21", len(seen))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		given := bytes.Clone(frame)
		message, err := Parse(frame)
		if !bytes.Equal(frame, given) {
			t.Fatal("parsing changed the frame")
		}
		if err != nil {
			return
		}
		checkReencoded(t, message)
	})
}

// checkReencoded looks whether a parsed message means the same once encoded.
func checkReencoded(t *testing.T, message Message) {
	encoded := message.Append(nil)
	again, err := Parse(encoded)
	if err != nil {
		t.Fatalf("%s encodes as %x: %v", describe(message), encoded, err)
	}
	if describe(again) != describe(message) {
		t.Fatalf("parsed again\n%s, want\n%s", describe(again), describe(message))
	}
	if !bytes.Equal(again.Append(nil), encoded) {
		t.Fatalf("%s encodes differently the second time", describe(message))
	}
}

// FuzzClientHelloVersion compares the two readers of a version.
func FuzzClientHelloVersion(f *testing.F) {
	seeds := 0
	for _, v := range readVectors(f).ProtobufFrames {
		if v.Type == TypeClientHello {
			f.Add([]byte(v.Frame[HeaderSize:]))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Add([]byte{1 << 3, 1, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		version, versionErr := ClientHelloVersion(payload)
		hello, err := ParseClientHello(payload)
		if err != nil {
			return
		}
		if versionErr != nil || version != hello.Version {
			t.Fatalf("version is %d (%v), want %d", version, versionErr, hello.Version)
		}
	})
}
