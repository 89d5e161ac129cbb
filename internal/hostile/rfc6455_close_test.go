package hostile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// codeCases are Close frames with codes that may be sent, and with such that may not. One that may is answered with the
// same code (B45).
func codeCases() (cases []rfcCase) {
	reasons := []string{"", "a reason", strings.Repeat("ä", 61) + "!"}
	for _, code := range []uint16{
		1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4010, 4115, 4999,
	} {
		for i, reason := range reasons {
			cases = append(cases, rfcCase{"7.4", fmt.Sprintf("code %d, reason %d", code, i),
				always(wsFrame(fin|opClose, closePayload(code, reason))), closes(code)})
		}
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535} {
		for i, reason := range reasons {
			cases = append(cases, rfcCase{"7.4", fmt.Sprintf("code %d, reason %d", code, i),
				always(wsFrame(fin|opClose, closePayload(code, reason))), ends(violation)})
		}
	}
	return cases
}

func closeCases() []rfcCase {
	away := wsFrame(fin|opClose, closePayload(1001, ""))
	ping := wsFrame(fin|opPing, []byte("ping"))
	behind := func(name string, frame []byte) rfcCase {
		return rfcCase{"5.5.1", name + " behind a Close", always(away, frame), closes(1001)}
	}
	return []rfcCase{
		{"5.5.1", "an empty Close", always(wsFrame(fin|opClose, nil)), closes(noCode)},
		{"5.5.1", "a Close of one byte", always(wsFrame(fin|opClose, []byte{3})), ends(violation)},
		{"5.5.1", "a Close whose length is in 16 bits", always(wsFrameIn(16, fin|opClose, closePayload(1001, ""))), closes(1001)},
		{"5.5.1", "a Close whose length is in 64 bits", always(wsFrameIn(64, fin|opClose, closePayload(1001, ""))), closes(1001)},
		{"5.5.1", "a Close with 124 bytes of reason", always(wsFrame(fin|opClose, closePayload(1000, strings.Repeat("x", 124)))), ends(violation)},
		// Nobody reads the reason, so nobody minds.
		{"5.5.1", "a Close whose reason is no UTF-8", always(wsFrame(fin|opClose, closePayload(1000, "\xce\xba\xed\xa0\x80"))), closes(1000)},
		{"5.5.1", "a ping and a Close", always(ping, away), ends(outcome{pongs: []string{"ping"}, code: 1001, echo: true})},
		{"5.5.1", "a Close and its beginning", always(away, away[:3]), closes(1001)},
		behind("a ping", ping),
		behind("another Close", wsFrame(fin|opClose, closePayload(1000, ""))),
		behind("text", wsFrame(fin|opText, []byte("hello"))),
		behind("a reserved opcode", wsFrame(fin|0x3, nil)),
		behind("garbage", slices.Repeat([]byte{0xff}, 300)),
		{"5.5.1", "a message behind a Close", func(s state) []byte {
			return append(wsFrame(fin|opClose, closePayload(1001, "")), wsFrame(fin|opBinary, s.message(40))...)
		}, closes(1001)},
		{"5.5.1", "the rest of a message behind a Close", func(s state) []byte {
			return between(s.message(40), 3, away)
		}, closes(1001)},
	}
}

func TestB40_B45_RFC6455_CloseCodes(t *testing.T) { run(t, codeCases()) }
func TestB45_RFC6455_Close(t *testing.T)          { run(t, closeCases()) }
