package mediator_test

import (
	"encoding/binary"
	"errors"
	"io"
	"syscall"
	"testing"

	"openmediator/d2m"
)

// FuzzRegistered gives a registered connection whatever there is: as bytes of TCP, or as WebSocket messages, each with
// its length as two bytes before it. Whatever it is, what the server sends can be understood, the connection ends with
// its stream, and a device of another group notices nothing.
func FuzzRegistered(f *testing.F) {
	for _, v := range violations() {
		f.Add(true, v)
	}
	all := []byte{}
	for _, v := range readVectors(f).Invalid {
		f.Add(false, appendMessage(nil, v.Frame))
	}
	for _, m := range []d2m.Message{
		d2m.Reflect{ID: 1, Envelope: []byte("envelope")}, d2m.Reflect{Flags: d2m.FlagEphemeral}, d2m.ReflectedAck{ID: 1},
		d2m.ReflectedAck{ID: 1 << 31}, d2m.GetDevicesInfo{}, d2m.SetSharedDeviceData{Data: []byte("shared")},
		d2m.DropDevice{DeviceID: 2}, d2m.Reflect{ID: 2}, d2m.DropDevice{DeviceID: 1}, d2m.Proxy{Data: []byte("chat")},
		d2m.BeginTransaction{TTL: 1}, d2m.CommitTransaction{},
	} {
		f.Add(true, appendMessages(nil, m))
		f.Add(false, appendMessage(nil, m.Append(nil)))
		all = appendMessage(all, m.Append(nil))
	}
	f.Add(false, all)
	f.Add(true, appendFrame(appendFrame(nil, opBinary, []byte{0x30}), fin|opContinuation, []byte{0, 0, 0}))
	f.Add(true, appendFrame(nil, fin|opPing, []byte("ping")))
	f.Add(true, appendFrame(nil, fin|opClose, []byte{3, 232}))
	f.Add(true, []byte{fin | opBinary, 0x80 | 126, 0xff})

	s := start(f)
	neighbour, _ := s.login(newIdentity(f), 1, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](neighbour.device)
	f.Fuzz(func(t *testing.T, raw bool, data []byte) {
		id := newIdentity(t)
		s.t, neighbour.t = t, t
		peer := s.loginWire(id, 2, d2m.SlotNew)
		w := s.loginWire(id, 1, d2m.SlotNew)
		if !raw {
			data = framed(data)
		}
		go func() {
			w.Write(data)
			w.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		w.readToEnd(t, data)
		peer.Close()
		neighbour.barrier()
	})
}

func appendMessage(b, message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(message))), message...)
}

// framed makes WebSocket frames of messages with their lengths.
func framed(data []byte) (frames []byte) {
	for len(data) >= 2 {
		size := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
		frames = appendFrame(frames, fin|opBinary, data[2:2+size])
		data = data[2+size:]
	}
	return frames
}

// readToEnd fails if the server sends what it never should.
func (w *wire) readToEnd(t *testing.T, sent []byte) {
	for {
		first, payload, err := w.read()
		if err == io.EOF || errors.Is(err, syscall.ECONNRESET) { // the stream may end with frames of which nobody is told
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch first {
		case fin | opBinary:
			if m, err := d2m.Parse(payload); err != nil || !m.Type().FromServer() {
				t.Fatalf("got %T, %v", m, err)
			}
		case fin | opClose:
			if len(payload) == 1 {
				t.Fatal("Close frame with half a code")
			}
		case fin | opPing, fin | opPong:
		default:
			t.Fatalf("frame begins with %#x after %x", first, sent)
		}
	}
}
