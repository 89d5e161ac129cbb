package jetstream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"

	"openmediator/bench/compare/load"
)

// bufferSize is how much is read at once: a window of messages and more.
const bufferSize = 32 << 10

// maxPayload is the longest message that is read.
const maxPayload = 1 << 20

// conn speaks the protocol of NATS.
type conn struct {
	net.Conn
	r             *bufio.Reader
	payload       []byte // of the last message
	reply         []byte
	subscriptions int
}

// message is what was published on a subject. It is valid until the next one is read.
type message struct{ reply, payload []byte }

func dial(address string) (*conn, error) {
	raw, err := load.Dial(address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, r: bufio.NewReaderSize(raw, bufferSize)}
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(line, []byte("INFO ")) {
		return nil, fmt.Errorf("nats: begins with %q, want INFO", line)
	}
	_, err = io.WriteString(c, `CONNECT {"verbose":false,"pedantic":false,"headers":false,"protocol":1,"lang":"go"}`+"\r\n")
	return c, err
}

// subscribe asks for a subject; what is published on others is not read on this connection.
func (c *conn) subscribe(subject string) error {
	c.subscriptions++
	_, err := fmt.Fprintf(c, "SUB %s %d\r\n", subject, c.subscriptions)
	return err
}

// api sends a request to JetStream and wants an answer without an error. No other messages may come meanwhile.
func (c *conn) api(what string, request any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	inbox := "_INBOX.api." + what
	if err := c.subscribe(inbox); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "PUB $JS.API.%s %s %d\r\n%s\r\n", what, inbox, len(body), body); err != nil {
		return err
	}
	var answer message
	for ok := false; !ok; {
		if answer, ok, err = c.read(); err != nil {
			return err
		}
	}
	if bytes.Contains(answer.payload, failed) {
		return fmt.Errorf("nats: refuses %s: %s", what, answer.payload)
	}
	return nil
}

// read reads the next message. Without one, it has read and answered something else: whoever has messages to handle
// must not wait behind a ping.
func (c *conn) read() (m message, ok bool, err error) {
	line, err := c.line()
	if err != nil {
		return message{}, false, err
	}
	switch {
	case bytes.HasPrefix(line, []byte("MSG ")):
		m, err = c.readMessage(line)
		return m, err == nil, err
	case bytes.Equal(line, []byte("PING")):
		_, err = io.WriteString(c, "PONG\r\n")
	case bytes.HasPrefix(line, []byte("-ERR")):
		err = fmt.Errorf("nats: says %s", line)
	}
	return message{}, false, err
}

// readMessage reads what follows a line "MSG SUBJECT SID [REPLY] SIZE".
func (c *conn) readMessage(line []byte) (message, error) {
	at := bytes.LastIndexByte(line, ' ')
	size, err := strconv.Atoi(string(line[at+1:]))
	if err != nil || size < 0 || size > maxPayload {
		return message{}, fmt.Errorf("nats: says %q, want a size from 0 to %d at the end", line, maxPayload)
	}
	line = line[:at]
	c.reply = append(c.reply[:0], line[bytes.LastIndexByte(line, ' ')+1:]...)
	if cap(c.payload) < size+2 {
		c.payload = make([]byte, size+2)
	}
	_, err = io.ReadFull(c.r, c.payload[:size+2])
	return message{c.reply, c.payload[:size]}, err
}

// line reads a line without its end. It is valid until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return line, err
	}
	return bytes.TrimSuffix(line, []byte("\r\n")), nil
}
