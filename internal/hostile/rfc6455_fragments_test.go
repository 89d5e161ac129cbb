package hostile

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// fragments are a message in pieces, which begin at the given places.
func fragments(message []byte, cuts ...int) (frames [][]byte) {
	first, start := byte(opBinary), 0
	for _, cut := range cuts {
		frames = append(frames, wsFrame(first, message[start:cut]))
		first, start = opContinuation, cut
	}
	return append(frames, wsFrame(fin|first, message[start:]))
}

// between puts frames behind the first n fragments of a message.
func between(message []byte, n int, frames ...[]byte) []byte {
	pieces := fragments(message, 10, 20, 30)
	return slices.Concat(slices.Concat(pieces[:n]...), slices.Concat(frames...), slices.Concat(pieces[n:]...))
}

// wholeCases are messages in fragments that are taken.
func wholeCases() []rfcCase {
	whole := func(name string, send func(message []byte) []byte) rfcCase {
		return rfcCase{"5.4", name, func(s state) []byte { return send(s.message(40)) }, taken(1)}
	}
	cut := func(name string, cuts ...int) rfcCase {
		return whole(name, func(m []byte) []byte { return slices.Concat(fragments(m, cuts...)...) })
	}
	var each []int
	for i := range 40 {
		each = append(each, i)
	}
	cases := []rfcCase{
		cut("two fragments", 20), cut("a fragment for each byte", each...), cut("an empty first fragment", 0),
		cut("empty fragments in the middle", 7, 7, 7, 7), cut("an empty last fragment", 40),
		cut("empty fragments everywhere", 0, 0, 1, 1, 39, 39, 40, 40),
		whole("10,000 empty fragments", func(m []byte) []byte {
			return slices.Concat(wsFrame(opBinary, m), bytes.Repeat(wsFrame(opContinuation, nil), 10_000), wsFrame(fin|opContinuation, nil))
		}),
		whole("fragments with each length encoding", func(m []byte) []byte {
			return slices.Concat(wsFrameIn(64, opBinary, m[:5]), wsFrameIn(16, opContinuation, m[5:6]), wsFrame(fin|opContinuation, m[6:]))
		}),
		whole("an unsolicited pong between fragments", func(m []byte) []byte {
			return between(m, 1, wsFrame(fin|opPong, []byte("pong")), wsFrame(fin|opPong, nil))
		}),
	}
	two := rfcCase{"5.4", "two messages in fragments", func(s state) []byte {
		pieces := append(fragments(s.message(40), 7, 20), fragments(s.message(50), 0, 49)...)
		return slices.Concat(pieces...)
	}, taken(2)}
	return append(cases, two)
}

// amongCases are control frames among fragments. They are answered before the message is whole.
func amongCases() (cases []rfcCase) {
	add := func(name string, want outcome, send func(message []byte) []byte) {
		cases = append(cases, rfcCase{"5.4", name, func(s state) []byte { return send(s.message(40)) }, ends(want)})
	}
	ping := func(payload string) []byte { return wsFrame(fin|opPing, []byte(payload)) }
	for n := range 4 {
		add(fmt.Sprintf("a ping behind %d fragments", n), outcome{messages: 1, pongs: []string{"among"}},
			func(m []byte) []byte { return between(m, n, ping("among")) })
	}
	add("pings between all fragments", outcome{messages: 1, pongs: []string{"1", "", "3"}}, func(m []byte) []byte {
		f := fragments(m, 0, 20, 40)
		return slices.Concat(f[0], ping("1"), f[1], ping(""), f[2], ping("3"), f[3])
	})
	add("a ping in a message that never ends", outcome{pongs: []string{"1"}}, func(m []byte) []byte {
		return append(wsFrame(opBinary, m), ping("1")...)
	})
	for n := 1; n < 4; n++ {
		add(fmt.Sprintf("a Close behind %d fragments", n), outcome{code: 1001, echo: true},
			func(m []byte) []byte { return between(m, n, wsFrame(fin|opClose, closePayload(1001, "away"))) })
		add(fmt.Sprintf("a ping and a Close behind %d fragments", n), outcome{code: noCode, echo: true, pongs: []string{"1"}},
			func(m []byte) []byte { return between(m, n, ping("1"), wsFrame(fin|opClose, nil)) })
	}
	for name, frame := range map[string][]byte{
		"ping": wsFrame(opPing, []byte("pi")), "pong": wsFrame(opPong, []byte("po")), "Close": wsFrame(opClose, closePayload(1000, "")),
		"ping without payload": wsFrame(opPing, nil), "Close without payload": wsFrame(opClose, nil),
	} {
		add("a first fragment of a "+name, violation, func([]byte) []byte { return frame })
		add("a first fragment of a "+name+", and a continuation", violation, func([]byte) []byte {
			return append(bytes.Clone(frame), wsFrame(fin|opContinuation, []byte("ng"))...)
		})
		add("a first fragment of a "+name+" inside a message", violation, func(m []byte) []byte { return between(m, 2, frame) })
	}
	return cases
}

// orderCases are fragments in an order in which they cannot be.
func orderCases() (cases []rfcCase) {
	add := func(name string, want outcome, send func(s state) []byte) {
		cases = append(cases, rfcCase{"5.4", name, send, ends(want)})
	}
	for name, frame := range map[string][]byte{
		"a continuation": wsFrame(opContinuation, []byte("non-continuation")), "a last continuation": wsFrame(fin|opContinuation, []byte("x")),
		"an empty continuation": wsFrame(opContinuation, nil), "an empty last continuation": wsFrame(fin|opContinuation, nil),
	} {
		add(name+" of nothing", violation, always(frame))
		add(name+" of nothing, behind a ping", outcome{code: violation.code, pongs: []string{"1"}},
			always(wsFrame(fin|opPing, []byte("1")), frame))
		add(name+" of nothing, and a message", violation, func(s state) []byte {
			return append(bytes.Clone(frame), wsFrame(fin|opBinary, s.message(40))...)
		})
	}
	for _, first := range []byte{opBinary, fin | opBinary, opText, fin | opText} {
		for _, n := range []int{1, 2, 3} {
			add(fmt.Sprintf("frame %#x behind %d fragments", first, n), violation,
				func(s state) []byte { return between(s.message(40), n, wsFrame(first, s.message(40))) })
		}
		add(fmt.Sprintf("empty frame %#x behind an empty fragment", first), violation,
			always(wsFrame(opBinary, nil), wsFrame(first, nil)))
	}
	add("an empty message in fragments", protocolError,
		always(wsFrame(opBinary, nil), wsFrame(opContinuation, nil), wsFrame(fin|opContinuation, nil)))
	return cases
}

func TestB40_RFC6455_Fragments(t *testing.T)                   { run(t, wholeCases()) }
func TestB40_RFC6455_ControlFramesAmongFragments(t *testing.T) { run(t, amongCases()) }
func TestB40_RFC6455_OrderOfFragments(t *testing.T)            { run(t, orderCases()) }
