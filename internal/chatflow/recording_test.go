package chatflow

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"sync"
)

// recording is what was sent: a stream for each connection.
type recording struct {
	mu      sync.Mutex
	streams []*stream
}

type stream struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

// begin adds a stream.
func (r *recording) begin() *stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := new(stream)
	r.streams = append(r.streams, s)
	return s
}

func (s *stream) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes.Write(data)
}

// all returns the streams, which must have ended.
func (r *recording) all() (streams [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		streams = append(streams, s.bytes.Bytes())
	}
	return streams
}

// recorded is a connection of which is recorded what is written to it.
type recorded struct {
	*net.TCPConn
	written *stream
}

func (r *recording) wrap(c *net.TCPConn) *recorded { return &recorded{c, r.begin()} }

// Write records first, so nothing arrives that is not recorded.
func (r *recorded) Write(data []byte) (int, error) {
	r.written.Write(data)
	return r.TCPConn.Write(data)
}

// cut ends a connection at once, in both directions: what is on its way is lost, and the peer gets a reset.
func cut(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// unmask returns the payloads of the WebSocket frames that a client has sent, one directly behind the other. The stream
// begins with the HTTP request, and may end anywhere.
func unmask(stream []byte) (payloads []byte) {
	_, frames, _ := bytes.Cut(stream, []byte("\r\n\r\n"))
	for len(frames) >= 2 {
		header, length := 2, int(frames[1]&0x7f)
		switch {
		case length == 126 && len(frames) >= 4:
			header, length = 4, int(binary.BigEndian.Uint16(frames[2:]))
		case length == 127 && len(frames) >= 10:
			header, length = 10, int(binary.BigEndian.Uint64(frames[2:]))
		}
		if frames[1]&0x80 == 0 || len(frames) < header+4 {
			return payloads
		}
		mask, masked := frames[header:header+4], frames[header+4:]
		length = min(length, len(masked))
		for i, b := range masked[:length] {
			payloads = append(payloads, b^mask[i%4])
		}
		frames = masked[length:]
	}
	return payloads
}

// place is somewhere where a server could read something.
type place struct {
	name  string
	bytes [][]byte
}

func (p place) holds(text string) bool {
	return slices.ContainsFunc(p.bytes, func(b []byte) bool { return bytes.Contains(b, []byte(text)) })
}
