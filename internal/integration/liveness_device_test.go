//go:build integration

package integration

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// First bytes of the frames of RFC 6455 that are needed here, all whole.
const (
	frameBinary = 0x82
	frameClose  = 0x88
	framePing   = 0x89
	framePong   = 0x8a
)

// device speaks WebSocket frame by frame, so that it can leave pings unanswered.
type device struct {
	conn     net.Conn
	in       *bufio.Reader
	answers  atomic.Bool // pings
	pings    chan struct{}
	messages chan d2m.Message
	ended    chan struct{}
	err      error // why; after ended
}

// connect connects a device in a namespace and logs it in. It has its queue then, and may have become leader.
func connect(
	ctx context.Context, t *testing.T, n *namespace, address string, keys *devicekeys.Keys, id d2m.DeviceID, answers bool,
) *device {
	t.Helper()
	conn, err := n.dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{
		conn: conn, in: bufio.NewReader(conn),
		// Both have room for more than comes in any test.
		pings: make(chan struct{}, 100), messages: make(chan d2m.Message, 100),
		ended: make(chan struct{}),
	}
	d.answers.Store(answers)
	if err := d.upgrade(ctx, address, keys.GroupID()); err != nil {
		conn.Close()
		t.Fatal(err)
	}
	go d.read()
	t.Cleanup(d.close)
	if err := d.login(ctx, keys, id); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *device) close() {
	d.conn.Close()
	<-d.ended
}

func (d *device) upgrade(ctx context.Context, address string, group d2m.GroupID) error {
	text, err := client.URL("ws://"+address, group, "0")
	if err != nil {
		return err
	}
	target, err := url.Parse(text)
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	d.conn.SetReadDeadline(deadline)
	fmt.Fprintf(d.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", target.Path, address)
	response, err := http.ReadResponse(d.in, nil)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade: was answered with %s", response.Status)
	}
	return d.conn.SetReadDeadline(time.Time{})
}

func (d *device) login(ctx context.Context, keys *devicekeys.Keys, id d2m.DeviceID) error {
	challenge, err := next[d2m.ServerHello](ctx, d)
	if err != nil {
		return err
	}
	hello := d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent}
	hello.Response, err = d2m.Respond(keys.PathKey(), challenge.ESK, challenge.Challenge, [24]byte{1})
	if err != nil {
		return err
	}
	if err := d.send(hello); err != nil {
		return err
	}
	_, err = next[d2m.ReflectionQueueDry](ctx, d)
	return err
}

// next takes messages until one of a type comes.
func next[M d2m.Message](ctx context.Context, d *device) (m M, err error) {
	for {
		select {
		case message := <-d.messages:
			if m, ok := message.(M); ok {
				return m, nil
			}
		case <-d.ended:
			return m, fmt.Errorf("device: has ended, and waited for %T: %w", m, d.err)
		case <-ctx.Done():
			return m, fmt.Errorf("device: %T has not come: %w", m, context.Cause(ctx))
		}
	}
}

// pinged returns when the server has pinged once more, has had the pong, if there is one, and is owed no ack.
func (d *device) pinged(ctx context.Context) error {
	select {
	case <-d.pings:
	case <-d.ended:
		return fmt.Errorf("device: has ended, and waited for a ping: %w", d.err)
	case <-ctx.Done():
		return fmt.Errorf("device: ping has not come: %w", context.Cause(ctx))
	}
	if err := d.send(d2m.GetDevicesInfo{}); err != nil {
		return err
	}
	if _, err := next[d2m.DevicesInfo](ctx, d); err != nil { // behind the pong
		return err
	}
	return d.acknowledge()
}

// acknowledge has the kernel acknowledge what has come, for which it may wait a little otherwise.
func (d *device) acknowledge() error {
	raw, err := d.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
	return errors.Join(controlErr, err)
}

func (d *device) send(m d2m.Message) error { return d.writeFrame(frameBinary, m.Append(nil)) }

// writeFrame writes a frame at once, for there are two who write. It is masked with zeros, which change nothing.
func (d *device) writeFrame(first byte, payload []byte) error {
	frame := []byte{first, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		frame = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(len(payload)))
	}
	frame = append(frame, 0, 0, 0, 0)
	_, err := d.conn.Write(append(frame, payload...))
	return err
}

// read takes what comes until the connection ends.
func (d *device) read() {
	defer close(d.ended)
	for {
		first, payload, err := d.readFrame()
		if err == nil {
			err = d.take(first, payload)
		}
		if err != nil {
			d.err = err
			return
		}
	}
}

func (d *device) take(first byte, payload []byte) error {
	switch first {
	case frameBinary:
		m, err := d2m.Parse(payload)
		if err != nil {
			return err
		}
		d.messages <- m
	case framePing:
		if d.answers.Load() {
			if err := d.writeFrame(framePong, payload); err != nil {
				return err
			}
		}
		d.pings <- struct{}{}
	case frameClose:
		return fmt.Errorf("server closed the connection: %q", payload)
	default:
		return fmt.Errorf("frame begins with %#x", first)
	}
	return nil
}

// readFrame reads a frame of at most 65,535 bytes.
func (d *device) readFrame() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(d.in, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(head[1])
	switch {
	case size == 126:
		var long [2]byte
		if _, err := io.ReadFull(d.in, long[:]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	case size > 126:
		return 0, nil, errors.New("frame: is masked, or longer than 65,535 bytes")
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(d.in, payload)
	return head[0], payload, err
}
