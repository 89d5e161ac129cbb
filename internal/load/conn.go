package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"openmediator/client"
	"openmediator/d2m"
)

// conn is a WebSocket connection of a device. One goroutine at a time uses it.
type conn struct {
	net.Conn
	in         []byte // what was read is in[begin:end]
	begin, end int
	device     *device
	leaving    bool  // it has sent its Close frame, and nothing may come behind that
	sent       int64 // bytes for the chat server
}

// fill reads once, waiting until there is something.
func (c *conn) fill() error {
	switch {
	case c.begin == c.end:
		c.begin, c.end = 0, 0
	case c.begin > 0 && c.end == len(c.in):
		c.end = copy(c.in, c.in[c.begin:c.end])
		c.begin = 0
	case c.end == len(c.in):
		c.in = append(c.in, make([]byte, min(len(c.in), 2*maxFrame-len(c.in)))...)
	}
	n, err := c.Conn.Read(c.in[c.end:])
	c.end += n
	if n > 0 || err == nil {
		return nil
	}
	return lost(err)
}

// lost leaves deadlines to be recognised.
func lost(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return &client.LostError{Err: err}
}

// next returns the next message that has been read as a whole, valid until fill, or nil. Pings are answered.
func (c *conn) next() ([]byte, error) {
	for {
		first, payload, size, err := cutFrame(c.in[c.begin:c.end])
		if size == 0 || err != nil {
			return nil, err
		}
		c.begin += size
		switch {
		case first == binaryMsg && len(payload) >= d2m.HeaderSize:
			return payload, nil
		case first == binaryMsg:
			return nil, violation("message has %d bytes, want at least %d", len(payload), d2m.HeaderSize)
		case first == ping && c.leaving:
		case first == ping:
			if err := c.write(appendFrame(nil, pong, payload)); err != nil {
				return nil, err
			}
		case first == closing:
			return nil, closeError(payload)
		case first != pong:
			return nil, violation("frame begins with %#x: bench wants whole binary messages", first)
		}
	}
}

func closeError(payload []byte) error {
	if len(payload) < 2 {
		return &client.LostError{Err: errors.New("closed without a code")}
	}
	return &client.CloseError{Code: d2m.CloseCode(binary.BigEndian.Uint16(payload)), Reason: string(payload[2:])}
}

// await reads until there is a whole message.
func (c *conn) await() ([]byte, error) {
	for {
		frame, err := c.next()
		if frame != nil || err != nil {
			return frame, err
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func (c *conn) write(b []byte) error {
	if _, err := c.Conn.Write(b); err != nil {
		return lost(err)
	}
	return nil
}

// upgrade makes it a WebSocket connection.
func (c *conn) upgrade(host, path string) error {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if err := c.write([]byte(request)); err != nil {
		return err
	}
	for {
		read := c.in[c.begin:c.end]
		head := bytes.Index(read, []byte("\r\n\r\n"))
		switch {
		case head >= 0 && bytes.HasPrefix(read, []byte("HTTP/1.1 101 ")):
			c.begin += head + 4
			return nil
		case head >= 0:
			return refusal(io.MultiReader(bytes.NewReader(read), c.Conn))
		case len(read) > maxFrame:
			return violation("answer to the request has no end")
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// refusal reads an answer that is no upgrade.
func refusal(from io.Reader) error {
	response, err := http.ReadResponse(bufio.NewReader(from), nil)
	if err != nil {
		return unreachable(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
	return &client.UnreachableError{Status: response.StatusCode, Text: strings.TrimSpace(string(text))}
}
