package hostile

import (
	"fmt"
	"slices"
	"testing"

	"openmediator/d2m"
)

// lengths are around those at which the encoding changes, and around the limits.
var lengths = []int{0, 1, 3, 4, 125, 126, 127, 128, 16_384, 16_385, 65_535, 65_536, 65_537}

// lengthCases are messages of all lengths in all encodings. RFC 6455 wants the shortest one; the server takes the others
// too, which mean the same.
func lengthCases() (cases []rfcCase) {
	for _, size := range lengths {
		for _, bits := range []lengthBits{7, 16, 64} {
			if bits < shortestLength(size) {
				continue
			}
			cases = append(cases, rfcCase{
				section: "5.2", name: fmt.Sprintf("%d bytes, length in %d bits", size, bits),
				send: func(s state) []byte { return wsFrameIn(bits, fin|opBinary, exactly(s, size)) },
				want: func(s state) outcome { return ofSize(s, size) },
			})
		}
	}
	return cases
}

// exactly is a message of a size, be it valid or not.
func exactly(s state, size int) []byte {
	message := s.message(size)
	return append(message, make([]byte, max(0, size-len(message)))...)[:size]
}

// ofSize is what comes of it.
func ofSize(s state, size int) outcome {
	smallest, largest := d2m.HeaderSize+8, d2m.MaxMessageSize
	if s == stranger {
		smallest, largest = d2m.HeaderSize, d2m.MaxPreauthSize
	}
	if size < smallest || size > largest {
		return protocolError
	}
	return outcome{messages: 1}
}

// longCases announce much more than they send.
func longCases() (cases []rfcCase) {
	const most = 1<<63 - 1
	add := func(name string, want outcome, send ...[]byte) {
		cases = append(cases, rfcCase{"5.2", name, always(send...), ends(want)})
	}
	enough := make([]byte, d2m.MaxMessageSize+1)
	add("2^63-1 bytes announced, 65,537 sent", protocolError, wsHeader(fin|opBinary, 64, most), enough)
	add("2^63-1 bytes announced in a continuation, 65,537 sent", protocolError,
		wsFrame(opBinary, nil), wsHeader(fin|opContinuation, 64, most), enough)
	add("2^32 bytes announced, 65,537 sent", protocolError, wsHeader(fin|opBinary, 64, 1<<32), enough)
	for _, first := range []byte{fin | opBinary, opBinary, fin | opText, fin | opPing, fin | opPong, fin | opClose} {
		for _, length := range []uint64{1 << 63, 1<<63 | 5, 1<<64 - 1} {
			add(fmt.Sprintf("length %#x in frame %#x", length, first), violation, wsHeader(first, 64, length))
		}
	}
	add("length 2^63 in a continuation", violation, wsFrame(opBinary, nil), wsHeader(fin|opContinuation, 64, 1<<63))
	return cases
}

func reservedBitCases() (cases []rfcCase) {
	for bits := byte(0x10); bits <= 0x70; bits += 0x10 {
		for _, opcode := range []byte{opBinary, opText, opClose, opPing, opPong} {
			for _, final := range []byte{0, fin} {
				cases = append(cases, rfcCase{"5.2", fmt.Sprintf("reserved bits, frame %#x", final|bits|opcode),
					always(wsFrame(final|bits|opcode, nil)), ends(violation)})
			}
		}
		cases = append(cases, rfcCase{"5.2", fmt.Sprintf("reserved bits %#x in a continuation", bits),
			func(s state) []byte {
				return append(wsFrame(opBinary, s.message(40)), wsFrame(fin|bits|opContinuation, nil)...)
			}, ends(violation)})
	}
	return cases
}

func reservedOpcodeCases() (cases []rfcCase) {
	for _, opcode := range []byte{0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		for name, frame := range map[string][]byte{
			"and nothing in it":    wsFrame(fin|opcode, nil),
			"and not the last one": wsFrame(opcode, []byte("payload")),
			"and 126 bytes":        wsFrame(fin|opcode, make([]byte, 126)),
			"and a reserved bit":   wsFrame(fin|0x40|opcode, []byte("payload")),
			"inside a message":     append(wsFrame(opBinary, []byte{0}), wsFrame(fin|opcode, []byte("payload"))...),
			"behind a ping":        nil,
		} {
			c := rfcCase{"5.2", fmt.Sprintf("opcode %#x %s", opcode, name), always(frame), ends(violation)}
			if frame == nil {
				c.send = always(wsFrame(fin|opPing, []byte("ping")), wsFrame(fin|opcode, nil))
				c.want = ends(outcome{pongs: []string{"ping"}, code: violation.code})
			}
			cases = append(cases, c)
		}
	}
	return cases
}

func unmaskedCases() (cases []rfcCase) {
	for _, first := range []byte{
		fin | opBinary, opBinary, fin | opText, fin | opContinuation, fin | opPing, fin | opPong, fin | opClose, fin | 0x3,
	} {
		for _, payload := range [][]byte{nil, {0x03, 0xe8}, counting(125)} {
			unmasked := append([]byte{first, byte(len(payload))}, payload...)
			cases = append(cases, rfcCase{"5.1", fmt.Sprintf("unmasked frame %#x of %d bytes", first, len(payload)),
				always(unmasked), ends(violation)})
		}
	}
	return append(cases,
		rfcCase{"5.1", "unmasked last fragment", func(s state) []byte {
			message := s.message(40)
			return append(append(wsFrame(opBinary, message[:20]), fin|opContinuation, 20), message[20:]...)
		}, ends(violation)},
		rfcCase{"5.3", "another masking key with each frame", func(s state) (b []byte) {
			for i := range 4 {
				message := s.message(64)
				head := []byte{fin | opBinary, 0x80 | 64, byte(i), 0xff, byte(-i), 0x80}
				for k := range message {
					message[k] ^= head[2+k%4]
				}
				b = slices.Concat(b, head, message)
			}
			return b
		}, taken(4)})
}

// textCases are text messages: the server knows none (B40). It need not look at them to say so.
func textCases() []rfcCase {
	return []rfcCase{
		{"5.6", "text", always(wsFrame(fin|opText, []byte("Hello-µ@ßöäüàá-UTF-8!!"))), ends(protocolError)},
		{"5.6", "empty text", always(wsFrame(fin|opText, nil)), ends(protocolError)},
		{"5.6", "65,535 bytes of text", always(wsFrame(fin|opText, make([]byte, 65_535))), ends(protocolError)},
		{"5.6", "a megabyte of text", always(wsFrame(fin|opText, make([]byte, 1<<20))), ends(protocolError)},
		{"5.6", "text that is no UTF-8", always(wsFrame(fin|opText, []byte{0xce, 0xba, 0xed, 0xa0, 0x80})), ends(protocolError)},
		{"5.6", "the first fragment of text", always(wsFrame(opText, []byte("Hel"))), ends(protocolError)},
		{"5.6", "an empty first fragment of text", always(wsFrame(opText, nil)), ends(protocolError)},
		{"5.6", "text in fragments", always(wsFrame(opText, []byte("Hel")), wsFrame(opContinuation, nil),
			wsFrame(fin|opContinuation, []byte("lo"))), ends(protocolError)},
		{"5.6", "text that is announced", always(wsHeader(fin|opText, 64, 1<<40)), ends(protocolError)},
		{"5.6", "text behind a message", func(s state) []byte {
			return append(wsFrame(fin|opPing, []byte("1")), wsFrame(fin|opText, []byte("hello"))...)
		}, ends(outcome{pongs: []string{"1"}, code: protocolError.code})},
	}
}

func TestB40_RFC6455_Lengths(t *testing.T)         { run(t, lengthCases()) }
func TestB40_RFC6455_MoreIsAnnounced(t *testing.T) { run(t, longCases()) }
func TestB40_RFC6455_ReservedBits(t *testing.T)    { run(t, reservedBitCases()) }
func TestB40_RFC6455_ReservedOpcodes(t *testing.T) { run(t, reservedOpcodeCases()) }
func TestB40_RFC6455_Masking(t *testing.T)         { run(t, unmaskedCases()) }
func TestB40_RFC6455_Text(t *testing.T)            { run(t, textCases()) }
