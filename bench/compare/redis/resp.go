package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"

	"openmediator/bench/compare/load"
)

// bufferSize is how much is read at once: a window of messages and more.
const bufferSize = 32 << 10

// conn speaks RESP, the protocol of Redis.
type conn struct {
	net.Conn
	r    *bufio.Reader
	text []byte // what bulk has returned
}

func dial(address string) (*conn, error) {
	c, err := load.Dial(address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, bufferSize)}, nil
}

// appendCommand appends a command. more is how many words will be appended behind it.
func appendCommand(b []byte, more int, words ...string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(words)+more), 10)
	b = append(b, "\r\n"...)
	for _, word := range words {
		b = appendBulk(b, word)
	}
	return b
}

func appendBulk[T string | []byte](b []byte, data T) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(data)), 10)
	b = append(b, "\r\n"...)
	b = append(b, data...)
	return append(b, "\r\n"...)
}

// line reads a line that begins with kind, and returns what follows; it is valid until the next read.
func (c *conn) line(kind byte) ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[0] != kind {
		return nil, fmt.Errorf("redis: answers %q, want a line with %q", line, kind)
	}
	return line[1 : len(line)-2], nil
}

func (c *conn) number(kind byte) (int, error) {
	line, err := c.line(kind)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, digit := range line {
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("redis: answers %q, want a number", line)
		}
		n = 10*n + int(digit-'0')
	}
	return n, nil
}

func (c *conn) integer() (int, error) { return c.number(':') }
func (c *conn) array() (int, error)   { return c.number('*') }

// arrays reads the heads of arrays of these lengths.
func (c *conn) arrays(lengths ...int) error {
	for _, want := range lengths {
		n, err := c.array()
		if err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("redis: answers an array of %d, want %d", n, want)
		}
	}
	return nil
}

// bulk reads a string. It is valid until the next call.
func (c *conn) bulk() ([]byte, error) {
	n, err := c.number('$')
	if err != nil {
		return nil, err
	}
	if cap(c.text) < n+2 {
		c.text = make([]byte, n+2)
	}
	_, err = io.ReadFull(c.r, c.text[:n+2])
	return c.text[:n], err
}

// id is the id of a message in a stream.
type id struct{ milliseconds, sequence uint64 }

func (i id) before(other id) bool {
	if i.milliseconds != other.milliseconds {
		return i.milliseconds < other.milliseconds
	}
	return i.sequence < other.sequence
}

func (i id) next() id { return id{i.milliseconds, i.sequence + 1} }

// appendID appends an id as a word of a command.
func appendID(b []byte, i id) []byte {
	var text [2*20 + 1]byte
	digits := strconv.AppendUint(text[:0], i.milliseconds, 10)
	digits = append(digits, '-')
	return appendBulk(b, strconv.AppendUint(digits, i.sequence, 10))
}

func parseID(text []byte) (i id, err error) {
	number := &i.milliseconds
	for at, c := range text {
		switch {
		case c >= '0' && c <= '9':
			*number = 10**number + uint64(c-'0')
		case c == '-' && at > 0 && number == &i.milliseconds:
			number = &i.sequence
		default:
			return id{}, fmt.Errorf("redis: has id %q, want MILLISECONDS-SEQUENCE", text)
		}
	}
	return i, nil
}
