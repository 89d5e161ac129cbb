package hostile

import "testing"

// TestOverTLS does once more what depends on where the bytes of a connection end, with TLS between device and server: there
// records end elsewhere than frames, and a read that is given up must not lose any. The rest is in long_test.go.
func TestOverTLS(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"requests":      TestB1_Requests,
		"pipelined":     TestB1_PipelinedBehindTheRequest,
		"half requests": TestB44_HalfRequests,
		"half messages": TestB40_HalfMessages,
		"announced":     TestB40_RFC6455_MoreIsAnnounced,
		"close":         TestB45_RFC6455_Close,
	} {
		t.Run(name, test)
	}
}
