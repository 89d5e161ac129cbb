package mediator_test

import (
	"bytes"
	"testing"

	"openmediator/d2m"
)

// Apps send the chat server's client hello before they have seen ServerHello (d2m.md, 1). Until there is a chat proxy,
// they are told after ServerInfo that the chat server cannot be reached.
func TestB4_ProxyIsHeldBack(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	d := s.dial(id)
	d.send(d2m.Proxy{Data: []byte("hello, ")})
	d.send(d2m.Proxy{Data: nil})
	d.send(d2m.Proxy{Data: []byte("chat server")})
	d.register(1, d2m.SlotNew)
	d.expectClose(d2m.CloseChatServerUnreachable)

	later, _ := s.login(id, 1, d2m.SlotExisting)
	later.send(d2m.Proxy{Data: make([]byte, d2m.MaxProxyDataSize)})
	later.expectClose(d2m.CloseChatServerUnreachable)
}

func TestB4_HeldBackIsBounded(t *testing.T) {
	s := start(t)
	const limit = 16 << 10
	for name, test := range map[string]struct {
		sizes []int
		fits  bool
	}{
		"exactly as much":        {[]int{limit / 2, limit / 4, limit / 4}, true},
		"one byte too many":      {[]int{limit / 2, limit / 2, 1}, false},
		"too many at the end":    {[]int{1, limit / 2, limit / 2}, false},
		"nothing, and then much": {[]int{0, 0, limit / 2, limit / 2}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := s.dial(newIdentity(t))
			for _, size := range test.sizes {
				d.send(d2m.Proxy{Data: make([]byte, size)})
			}
			if !test.fits {
				expect[d2m.ServerHello](d)
				d.expectCloseAtOnce(d2m.CloseProtocolError)
				return
			}
			d.register(1, d2m.SlotNew)
			d.expectClose(d2m.CloseChatServerUnreachable)
		})
	}
}

// However small the pieces are.
func TestB4_ManySmallPieces(t *testing.T) {
	s := start(t)
	for name, code := range map[string]d2m.CloseCode{"": d2m.CloseChatServerUnreachable, "too many": d2m.CloseProtocolError} {
		id := newIdentity(t)
		w := s.dialWire(id)
		pieces := bytes.Repeat(appendMessages(nil, d2m.Proxy{Data: []byte{1}}), 16<<10)
		if name != "" {
			pieces = appendMessages(pieces, d2m.Proxy{Data: []byte{1}})
		}
		w.write(pieces)
		hello := id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotNew)
		if name == "" {
			w.message(hello)
			expectOn[d2m.ServerInfo](w)
		}
		w.expectClose(code)
	}
}

func TestB4_MessagesBeforeRegistrationAreSmall(t *testing.T) {
	s := start(t)
	t.Run("16 KiB", func(t *testing.T) {
		d := s.dial(newIdentity(t))
		d.send(d2m.Proxy{Data: make([]byte, d2m.MaxPreauthSize-d2m.HeaderSize)})
		d.register(1, d2m.SlotNew)
	})
	for name, frame := range map[string][]byte{
		"a byte more":   d2m.Proxy{Data: make([]byte, d2m.MaxPreauthSize-d2m.HeaderSize+1)}.Append(nil),
		"the largest":   make([]byte, d2m.MaxMessageSize),
		"several times": make([]byte, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			d := s.dial(newIdentity(t))
			expect[d2m.ServerHello](d)
			d.sendFrame(frame)
			d.expectCloseAtOnce(d2m.CloseProtocolError)
		})
	}
	t.Run("a large client hello", func(t *testing.T) {
		d := s.dial(newIdentity(t))
		d.sendFrame(d.clientHelloWith(func(b []byte) []byte { return bytesField(b, 99, make([]byte, d2m.MaxPreauthSize)) }))
		d.expectCloseAtOnce(d2m.CloseProtocolError)
	})
	t.Run("many fragments", func(t *testing.T) {
		w := s.dialWire(newIdentity(t))
		expectOn[d2m.ServerHello](w)
		w.frame(opBinary, make([]byte, d2m.MaxPreauthSize))
		w.frame(opContinuation, make([]byte, 1))
		w.expectClose(d2m.CloseProtocolError)
	})
}

func TestB4_ProxyDoesNotRegister(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	d := s.dial(id)
	d.send(d2m.Proxy{Data: []byte("hello, chat server")})
	hello := d.hello(expect[d2m.ServerHello](d), 1, d2m.SlotNew)
	hello.Response[30] ^= 1
	d.send(hello)
	d.expectCloseAtOnce(d2m.CloseProtocolError)
}
