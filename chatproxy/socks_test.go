package chatproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"openmediator/d2m"
)

// socksRequest is what a SOCKS server is asked for.
type socksRequest struct {
	user, password string
	host           string // empty if it was asked for an address
	port           uint16
	from           net.Addr
}

// socksServer speaks as much of RFC 1928 and 1929 as it takes to be asked, and connects to one address whatever it is asked.
type socksServer struct {
	net.Listener
	t        *testing.T
	target   string
	requests chan socksRequest
}

func startSOCKS(t *testing.T, target string) *socksServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socksServer{l, t, target, make(chan socksRequest, 16)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.serve()
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return s
}

// serve handles one connection after the other.
func (s *socksServer) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.handle(c)
	}
}

func (s *socksServer) handle(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	request := socksRequest{from: c.RemoteAddr()}
	if methods := s.field(r, 2, 1); !bytes.Contains(methods, []byte{2}) {
		s.t.Errorf("SOCKS server is offered the methods %x, without user and password", methods)
		return
	}
	c.Write([]byte{5, 2})
	request.user = string(s.field(r, 2, 1))
	request.password = string(s.field(r, 1, 0))
	c.Write([]byte{1, 0})
	head := s.read(r, 4)
	if head[3] == 3 {
		request.host = string(s.field(r, 1, 0))
	} else {
		s.read(r, 4)
	}
	request.port = binary.BigEndian.Uint16(s.read(r, 2))
	target, err := net.Dial("tcp", s.target)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer target.Close()
	s.requests <- request
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	var back sync.WaitGroup
	back.Go(func() { io.Copy(c, target) })
	io.Copy(target, r)
	target.(*net.TCPConn).CloseWrite()
	back.Wait()
}

func (s *socksServer) read(r io.Reader, size int) []byte {
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		s.t.Errorf("SOCKS request: %v", err)
	}
	return b
}

// field reads a field whose length is the last byte of its head, of which so many bytes are there.
func (s *socksServer) field(r io.Reader, head, at int) []byte {
	return s.read(r, int(s.read(r, head)[at]))
}

func TestSOCKS(t *testing.T) {
	chat, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	socks := startSOCKS(t, chat.Addr().String())
	p := New(Config{Upstreams: parseUpstreams(t, "g-{server_group}.example.invalid:5222"), SOCKS: socks.Addr().String(),
		Local: localAddress(t, "127.0.2.1")})
	defer p.Close()
	for _, isolation := range []string{"one group", "another group"} {
		d := &testDevice{t: t, woken: make(chan struct{}, 1), overdue: make(chan struct{}, 1)}
		session, err := p.Open("4f", isolation, d)
		if err != nil {
			t.Fatal(err)
		}
		session.Start()
		session.Send([]byte("client hello"))
		conn, err := chat.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 12)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "client hello" {
			t.Errorf("chat server got %q, %v", got, err)
		}
		request := <-socks.requests
		// The name goes unresolved; it does not exist.
		if request.host != "g-4f.example.invalid" || request.port != 5222 {
			t.Errorf("SOCKS server was asked for %q, port %d", request.host, request.port)
		}
		if request.user != isolation || request.password != isolation {
			t.Errorf("SOCKS server was told %q and %q", request.user, request.password)
		}
		if from := request.from.(*net.TCPAddr).IP.String(); from != "127.0.2.1" {
			t.Errorf("SOCKS server was connected to from %s", from)
		}
		session.Leave()
		conn.Close()
	}
}

// B37: what a chat server says when the device has gone does not take away what the device has sent last: through a
// SOCKS proxy, too, the sending side is ended alone.
func TestB37_SOCKSHalfClose(t *testing.T) {
	chat, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	socks := startSOCKS(t, chat.Addr().String())
	d := newDialer(&Config{SOCKS: socks.Addr().String()})
	own, err := d.dial(t.Context(), "chat.example.invalid:5222", "one group")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	conn, err := chat.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &Session{left: true, upstream: &upstream{Conn: own}}
	own.Write([]byte("last words"))
	s.sayGoodbye()
	if heard, err := io.ReadAll(conn); err != nil || string(heard) != "last words" {
		t.Errorf("chat server got %q, %v", heard, err)
	}
	conn.Write([]byte("too late"))
	conn.Close()
	if rest, err := io.ReadAll(own); err != nil || string(rest) != "too late" {
		t.Errorf("got %q, %v, behind the end of what was sent", rest, err)
	}
}

// Without the SOCKS proxy nothing goes out, not even to a chat server that could be reached.
func TestSOCKSIsNotBypassed(t *testing.T) {
	chat, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := mute.Addr().String()
	mute.Close()
	p := New(Config{Upstreams: parseUpstreams(t, chat.Addr().String()), SOCKS: down})
	defer p.Close()
	d := open(t, p)
	d.Start()
	d.Send([]byte("client hello"))
	d.expectEnd(d2m.CloseChatServerUnreachable)
	own, err := net.Dial("tcp", chat.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	first, err := chat.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != own.LocalAddr().String() {
		t.Error("chat server was connected to around the proxy")
	}
}

func localAddress(t *testing.T, text string) netip.Addr {
	t.Helper()
	addr, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
