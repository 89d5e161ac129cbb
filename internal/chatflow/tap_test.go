package chatflow

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"openmediator/csp"
)

// tap stands between the mediator and the chat server. To the one it is the chat server, whose key it has, to the other one
// it is the device; so it can read what the chat server can.
type tap struct {
	// fixed
	listener net.Listener
	server   string // address of the chat server
	key      *ecdh.PrivateKey
	users    []*user
	running  sync.WaitGroup

	toMediator, toServer recording
	readable             recording // what toServer holds, opened with the chat server's key

	mu       sync.Mutex
	links    []*link // in the order in which they began
	messages map[csp.MessageID]bool
}

// link is one connection of the mediator with the chat server.
type link struct {
	tap              *tap
	mediator, server *net.TCPConn
	done             chan struct{}

	up, down struct {
		in  *bufio.Reader
		out *recorded
	}
	device, service *csp.Session // this side's of the mediator's connection, and of the chat server's
	readable        *stream
}

func startTap(server string, key *ecdh.PrivateKey, users []*user) (*tap, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{listener: listener, server: server, key: key, users: users, messages: make(map[csp.MessageID]bool)}
	t.running.Go(func() {
		for {
			mediator, err := listener.Accept()
			if err != nil {
				return
			}
			t.running.Go(func() { t.carry(mediator.(*net.TCPConn)) })
		}
	})
	return t, nil
}

// awaitIdle waits for the end of all connections on both sides: the chat server has read what the mediator sent.
func (t *tap) awaitIdle(ctx context.Context) error {
	t.mu.Lock()
	links := t.links
	t.mu.Unlock()
	for _, l := range links {
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("tap: waits for the end of a connection: %w", context.Cause(ctx))
		}
	}
	return nil
}

// close cuts what is still there.
func (t *tap) close() {
	t.listener.Close()
	for _, l := range t.open() {
		l.cut()
	}
	t.running.Wait()
}

// open returns the connections that have not ended.
func (t *tap) open() (open []*link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.links {
		select {
		case <-l.done:
		default:
			open = append(open, l)
		}
	}
	return open
}

// messageCount returns how many different messages the chat server has been sent.
func (t *tap) messageCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.messages)
}

// carry serves one connection. Why it ends does not matter: with it ends that of the device, which makes another one.
func (t *tap) carry(mediator *net.TCPConn) {
	defer mediator.Close()
	server, err := net.Dial("tcp", t.server)
	if err != nil {
		return
	}
	defer server.Close()
	l := &link{tap: t, mediator: mediator, server: server.(*net.TCPConn), done: make(chan struct{})}
	defer close(l.done)
	l.up.in, l.up.out = bufio.NewReader(mediator), t.toServer.wrap(l.server)
	l.down.in, l.down.out = bufio.NewReader(server), t.toMediator.wrap(mediator)
	l.readable = t.readable.begin()
	t.mu.Lock()
	t.links = append(t.links, l)
	t.mu.Unlock()
	if err := l.logIn(); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(l.carryUp)
	both.Go(l.carryDown)
	both.Wait()
}

func (l *link) cut() {
	cut(l.mediator)
	cut(l.server)
}

// logIn takes the device's login and logs in as that device.
func (l *link) logIn() error {
	device, login, err := l.takeLogin()
	if err != nil {
		return err
	}
	client, err := csp.NewClientHandshake(rand.Reader, login)
	if err != nil {
		return err
	}
	hello := client.Hello()
	answer, err := l.ask(hello[:], csp.ServerHelloSize)
	if err != nil {
		return err
	}
	request, err := client.Login(answer)
	if err != nil {
		return err
	}
	if answer, err = l.ask(request, csp.LoginAckSize); err != nil {
		return err
	}
	service, ack, err := client.Finish(answer)
	if err != nil {
		return err
	}
	l.service = service
	answer, l.device, err = device.Finish(ack)
	if err != nil {
		return err
	}
	_, err = l.down.out.Write(answer)
	return err
}

// takeLogin is the chat server's side up to the login ack.
func (l *link) takeLogin() (*csp.ServerHandshake, csp.Login, error) {
	var login csp.Login
	handshake, err := csp.NewServerHandshake(rand.Reader, l.tap.key)
	if err != nil {
		return nil, login, err
	}
	hello := make([]byte, csp.ClientHelloSize)
	if _, err := io.ReadFull(l.up.in, hello); err != nil {
		return nil, login, err
	}
	answer, err := handshake.Hello(hello)
	if err != nil {
		return nil, login, err
	}
	if _, err := l.down.out.Write(answer); err != nil {
		return nil, login, err
	}
	box := make([]byte, csp.LoginSize)
	if _, err := io.ReadFull(l.up.in, box); err != nil {
		return nil, login, err
	}
	request, err := handshake.Login(box)
	if err != nil {
		return nil, login, err
	}
	box = make([]byte, request.ExtensionsSize)
	if _, err := io.ReadFull(l.up.in, box); err != nil {
		return nil, login, err
	}
	extensions, err := handshake.Extensions(box)
	if err != nil {
		return nil, login, err
	}
	for _, u := range l.tap.users {
		if u.identity == request.Identity {
			login = csp.Login{Identity: u.identity, Key: u.key, ServerKey: l.tap.key.PublicKey(), Extensions: &extensions}
			return handshake, login, handshake.Authenticate(u.key.PublicKey())
		}
	}
	return nil, login, fmt.Errorf("login: identity %v is nobody's", request.Identity)
}

// ask sends bytes to the chat server and returns its answer.
func (l *link) ask(data []byte, size int) ([]byte, error) {
	if _, err := l.up.out.Write(data); err != nil {
		return nil, err
	}
	answer := make([]byte, size)
	_, err := io.ReadFull(l.down.in, answer)
	return answer, err
}

// carryUp hands on what the mediator sends, and its end.
func (l *link) carryUp() {
	defer l.server.CloseWrite()
	carry(l.up.in, l.device, l.up.out, l.service, func(p csp.Payload) {
		l.readable.Write(p.Data)
		if message, err := csp.ParseMessage(p.Data); p.Type == csp.OutgoingMessage && err == nil {
			l.tap.mu.Lock()
			defer l.tap.mu.Unlock()
			l.tap.messages[message.ID] = true
		}
	})
}

// carryDown hands on what the chat server sends, and its end.
func (l *link) carryDown() {
	defer l.mediator.CloseWrite()
	carry(l.down.in, l.service, l.down.out, l.device, func(csp.Payload) {})
}

// carry hands on frames until one side ends.
func carry(from io.Reader, open *csp.Session, to io.Writer, seal *csp.Session, see func(csp.Payload)) {
	box := make([]byte, csp.MaxBoxSize)
	for {
		var length [2]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return
		}
		size := int(binary.LittleEndian.Uint16(length[:]))
		if size > len(box) {
			return
		}
		if _, err := io.ReadFull(from, box[:size]); err != nil {
			return
		}
		payload, err := open.Open(box[:size])
		if err != nil {
			return
		}
		see(payload)
		frame, err := seal.Seal(nil, payload)
		if err != nil {
			return
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}
