package frames

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What is measured.
const (
	Connections = 100
	Burst       = 32 // messages
	AnswerSize  = 20 // bytes, as of a ReflectAck

	patience = 20 * time.Second
)

// Protocol is how messages are framed.
type Protocol struct {
	upgrade string                         // what a client says first
	append  func(b, message []byte) []byte // frames a message of the client
	head    int                            // bytes of the frame before an answer
}

// Protocols of the servers.
var (
	WebSocket = Protocol{upgradeRequest, appendFrame, 2}
	Raw       = Protocol{"", appendRaw, rawHead}
)

const upgradeRequest = "GET / HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// appendFrame frames a message of 126 to 65535 bytes, with a masking key of zero.
func appendFrame(b, message []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 0x82, 0x80|126), uint16(len(message)))
	return append(append(b, 0, 0, 0, 0), message...)
}

// Result is what a server has shown.
type Result struct {
	Messages int64 // that were answered
	Elapsed  time.Duration
	CPU      time.Duration // of the server
}

// Measure sends bursts of messages of size bytes to a server and counts the answers.
func Measure(ctx context.Context, address string, p Protocol, size int, warmUp, duration time.Duration, cpu func() (time.Duration, error)) (Result, error) {
	conns := make([]*conn, Connections)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	burst := bytes.Repeat(p.append(nil, make([]byte, size)), Burst)
	for i := range conns {
		c, err := p.dial(address, time.Now().Add(warmUp+duration+patience))
		if err != nil {
			return Result{}, err
		}
		conns[i] = c
	}
	if _, err := play(ctx, conns, burst, warmUp); err != nil {
		return Result{}, err
	}
	before, err := cpu()
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	n, err := play(ctx, conns, burst, duration)
	if err != nil {
		return Result{}, err
	}
	result := Result{Messages: n, Elapsed: time.Since(start)}
	after, err := cpu()
	result.CPU = after - before
	return result, err
}

// play sends bursts on all connections for a while.
func play(ctx context.Context, conns []*conn, burst []byte, d time.Duration) (int64, error) {
	var playing sync.WaitGroup
	var count atomic.Int64
	errs := make([]error, len(conns))
	until := time.Now().Add(d)
	for i, c := range conns {
		playing.Go(func() {
			for ctx.Err() == nil && errs[i] == nil && time.Now().Before(until) {
				errs[i] = c.play(burst)
				count.Add(Burst)
			}
		})
	}
	playing.Wait()
	return count.Load(), errors.Join(context.Cause(ctx), errors.Join(errs...))
}

// conn is a client.
type conn struct {
	net.Conn
	r      *bufio.Reader
	answer []byte // a frame, buffer
	head   []byte // of each answer
}

func (p Protocol) dial(address string, deadline time.Time) (*conn, error) {
	raw, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(deadline)
	c := &conn{Conn: raw, r: bufio.NewReaderSize(raw, 16<<10), answer: make([]byte, p.head+AnswerSize), head: []byte{0x82, AnswerSize}}
	if p.upgrade == "" {
		c.head = appendRawHead(nil, AnswerSize)
		return c, nil
	}
	if _, err := io.WriteString(raw, p.upgrade); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("server: answers the upgrade with %s", response.Status)
	}
	return c, nil
}

// play writes a burst and reads its answers.
func (c *conn) play(burst []byte) error {
	if _, err := c.Write(burst); err != nil {
		return err
	}
	for range Burst {
		if _, err := io.ReadFull(c.r, c.answer); err != nil {
			return err
		}
		if !bytes.HasPrefix(c.answer, c.head) {
			return fmt.Errorf("server: answers %x, want a frame that begins with %x", c.answer, c.head)
		}
	}
	return nil
}
