package hostile

import (
	"fmt"
	"slices"
	"testing"
)

func pingCases() []rfcCase {
	var sizes []string
	var each, flood []byte
	for size := range 126 {
		sizes = append(sizes, string(counting(size)))
		each = append(each, wsFrame(fin|opPing, counting(size))...)
	}
	var floodPongs []string
	for i := range 1000 {
		floodPongs = append(floodPongs, fmt.Sprintf("%125d", i))
		flood = append(flood, wsFrame(fin|opPing, []byte(floodPongs[i]))...)
	}
	cases := []rfcCase{
		{"5.5.2", "pings of all sizes", always(each), pongs(sizes...)},
		{"5.5.2", "a flood of pings", always(flood), pongs(floodPongs...)},
		{"5.5.2", "a ping whose length is in 16 bits", always(wsFrameIn(16, fin|opPing, []byte("ping"))), pongs("ping")},
		{"5.5.2", "a ping whose length is in 64 bits", always(wsFrameIn(64, fin|opPing, []byte("ping"))), pongs("ping")},
		{"5.5.2", "a ping that is no UTF-8", always(wsFrame(fin|opPing, []byte{0, 0xff, 0xfe, 0xfd})), pongs("\x00\xff\xfe\xfd")},
		{"5.5.2", "a ping of 126 bytes behind one of 125", always(wsFrame(fin|opPing, counting(125)), wsFrame(fin|opPing, counting(126))),
			ends(outcome{pongs: []string{string(counting(125))}, code: violation.code})},
		{"5.5.3", "unsolicited pongs", always(wsFrame(fin|opPong, nil), wsFrame(fin|opPong, []byte("unsolicited")), wsFrame(fin|opPong, counting(125))), pongs()},
		{"5.5.3", "an unsolicited pong and a ping", always(wsFrame(fin|opPong, []byte("unsolicited")), wsFrame(fin|opPing, []byte("ping"))), pongs("ping")},
		{"5.5.3", "a flood of pongs", always(slices.Repeat(wsFrame(fin|opPong, counting(125)), 1000)), pongs()},
	}
	return cases
}

// longControlCases are control frames that are too long, whether their payload comes or not.
func longControlCases() (cases []rfcCase) {
	for name, opcode := range map[string]byte{"ping": opPing, "pong": opPong, "Close": opClose} {
		payload := closePayload(1000, string(make([]byte, 1<<16)))
		for _, size := range []int{126, 127, 128, 65_535, 65_536} {
			cases = append(cases,
				rfcCase{"5.5", fmt.Sprintf("a %s of %d bytes", name, size), always(wsFrame(fin|opcode, payload[:size])), ends(violation)},
				rfcCase{"5.5", fmt.Sprintf("the header of a %s of %d bytes", name, size),
					always(wsHeader(fin|opcode, shortestLength(size), uint64(size))), ends(violation)})
		}
		cases = append(cases, rfcCase{"5.5", fmt.Sprintf("the header of a %s of 2^63-1 bytes", name),
			always(wsHeader(fin|opcode, 64, 1<<63-1)), ends(violation)})
	}
	return cases
}

func TestB40_RFC6455_Pings(t *testing.T)             { run(t, pingCases()) }
func TestB40_RFC6455_LongControlFrames(t *testing.T) { run(t, longControlCases()) }
