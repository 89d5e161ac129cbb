package d2m

import "testing"

// The path of one message: each is done for every message of every device.
var hotPath = []struct {
	name string
	run  func(buffer []byte) error
}{
	{"ParseReflect", func([]byte) error {
		_, payload, err := Split(reflectFrame)
		if err != nil {
			return err
		}
		_, err = ParseReflect(payload)
		return err
	}},
	{"ParseReflectAck", func([]byte) error {
		_, err := ParseReflectAck(reflectAckFrame[HeaderSize:])
		return err
	}},
	{"ParseReflected", func([]byte) error {
		_, err := ParseReflected(reflectedFrame[HeaderSize:])
		return err
	}},
	{"ParseReflectedAck", func([]byte) error {
		_, err := ParseReflectedAck(reflectedAckFrame[HeaderSize:])
		return err
	}},
	{"AppendReflect", func(buffer []byte) error {
		Reflect{ID: 7, Envelope: reflectFrame[12:]}.Append(buffer)
		return nil
	}},
	{"AppendReflectAck", func(buffer []byte) error {
		ReflectAck{ID: 7, Timestamp: 9}.Append(buffer)
		return nil
	}},
	{"AppendReflected", func(buffer []byte) error {
		Reflected{ID: 7, Timestamp: 9, Envelope: reflectFrame[12:]}.Append(buffer)
		return nil
	}},
	{"AppendReflectedHeader", func(buffer []byte) error {
		AppendReflectedHeader(buffer, 0, 7, 9)
		return nil
	}},
	{"AppendReflectedAck", func(buffer []byte) error {
		ReflectedAck{ID: 7}.Append(buffer)
		return nil
	}},
}

var (
	reflectFrame      = Reflect{ID: 7, Envelope: make([]byte, 300)}.Append(nil)
	reflectAckFrame   = ReflectAck{ID: 7, Timestamp: 9}.Append(nil)
	reflectedFrame    = Reflected{ID: 7, Timestamp: 9, Envelope: make([]byte, 300)}.Append(nil)
	reflectedAckFrame = ReflectedAck{ID: 7}.Append(nil)
)

func TestHotPathDoesNotAllocate(t *testing.T) {
	buffer := make([]byte, 0, 1024)
	for _, step := range hotPath {
		if err := step.run(buffer); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if n := testing.AllocsPerRun(100, func() { step.run(buffer) }); n != 0 {
			t.Errorf("%s allocates %v times", step.name, n)
		}
	}
}

func BenchmarkHotPath(b *testing.B) {
	buffer := make([]byte, 0, 1024)
	for _, step := range hotPath {
		b.Run(step.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := step.run(buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The messages of a connection's start, through protobuf.
func BenchmarkParse(b *testing.B) {
	for _, v := range readVectors(b).ProtobufFrames {
		if v.Name != "client hello, all fields" && v.Name != "devices info, one connected device" {
			continue
		}
		b.Run(v.Type.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(v.Frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
