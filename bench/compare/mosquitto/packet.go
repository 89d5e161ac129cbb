package mosquitto

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"openmediator/bench/compare/load"
)

// First bytes of packets.
const (
	connect     = 0x10
	connack     = 0x20
	publishQoS1 = 0x32
	puback      = 0x40
	subscribe   = 0x82
	suback      = 0x90
)

// bufferSize is how much is read at once: a window of messages and more.
const bufferSize = 32 << 10

// maxPacket is the longest packet that is read.
const maxPacket = 1 << 20

// conn speaks MQTT.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte // what packet has returned
}

// dial connects a client. A clean one has no session that outlives the connection.
func dial(address, client string, clean bool) (*conn, error) {
	raw, err := load.Dial(address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, r: bufio.NewReaderSize(raw, bufferSize)}
	flags := byte(0)
	if clean {
		flags = 0x02
	}
	b := appendHead(nil, connect, 12+len(client))
	b = appendString(b, "MQTT")
	b = append(b, 4, flags, 0, 0) // version 3.1.1, no keep-alive
	return c, c.ask(appendString(b, client), connack, 0)
}

// subscribe subscribes with QoS 1.
func (c *conn) subscribe(topic string) error {
	b := appendHead(nil, subscribe, 2+2+len(topic)+1)
	b = append(b, 0, 1) // packet identifier
	b = appendString(b, topic)
	return c.ask(append(b, 1), suback, 1)
}

// ask writes a packet and wants an answer that ends with a result.
func (c *conn) ask(packet []byte, answer, result byte) error {
	if _, err := c.Write(packet); err != nil {
		return err
	}
	body, err := c.packet(answer)
	if err != nil {
		return err
	}
	if len(body) == 0 || body[len(body)-1] != result {
		return fmt.Errorf("mosquitto: answers %#x with %x, want an end of %x", packet[0], body, result)
	}
	return nil
}

// packet reads the next packet and returns what follows its head; it is valid until the next call.
func (c *conn) packet(want byte) ([]byte, error) {
	first, err := c.r.ReadByte()
	if err != nil {
		return nil, err
	}
	if first != want {
		return nil, fmt.Errorf("mosquitto: sends a packet %#x, want %#x", first, want)
	}
	size, err := binary.ReadUvarint(c.r) // MQTT's lengths are varints of at most four bytes
	if err != nil {
		return nil, err
	}
	if size > maxPacket {
		return nil, fmt.Errorf("mosquitto: sends a packet of %d bytes, want at most %d", size, maxPacket)
	}
	if uint64(cap(c.body)) < size {
		c.body = make([]byte, size)
	}
	_, err = io.ReadFull(c.r, c.body[:size])
	return c.body[:size], err
}

// splitPublish returns the parts of a PUBLISH behind its topic.
func splitPublish(body []byte) (identifier, message []byte, err error) {
	if len(body) < 2 {
		return nil, nil, fmt.Errorf("mosquitto: sends a message of %d bytes, want at least 2", len(body))
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < at+2 {
		return nil, nil, fmt.Errorf("mosquitto: sends a message of %d bytes, want at least %d", len(body), at+2)
	}
	return body[at : at+2], body[at+2:], nil
}

// appendHead appends the head of a packet that has size more bytes.
func appendHead(b []byte, first byte, size int) []byte {
	return binary.AppendUvarint(append(b, first), uint64(size))
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
