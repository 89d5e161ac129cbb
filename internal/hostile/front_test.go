package hostile

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"openmediator/access"
	"openmediator/internal/listen"
	"openmediator/mediator"
)

// TestAnnounced does once more some of what strangers and devices do, behind a proxy that announces each of them by the PROXY
// protocol. The rest is in long_test.go.
func TestAnnounced(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"requests":      TestB1_Requests,
		"half requests": TestB44_HalfRequests,
		"half messages": TestB40_HalfMessages,
		"close":         TestB45_RFC6455_Close,
	} {
		t.Run(name, test)
	}
}

// TestInvited does so at a server that lets in only who was invited, each group by a code of its own.
func TestInvited(t *testing.T) {
	rooms.Store(t.Name(), t.TempDir())
	for name, test := range map[string]func(*testing.T){
		"half messages": TestB40_HalfMessages,
		"close":         TestB45_RFC6455_Close,
	} {
		t.Run(name, test)
	}
}

// announced is a listener behind a proxy. Each connection is announced as that of another client.
type announced struct {
	listen.Listener
	clients *atomic.Uint32
}

// proxyAddress is where it connects from.
const proxyAddress = "127.0.0.1"

func newAnnounced(t testing.TB, l listen.Listener, config *mediator.Config) announced {
	t.Helper()
	peers, err := mediator.ParsePeers([]string{proxyAddress})
	if err != nil {
		t.Fatal(err)
	}
	config.Front.ProxyProtocol = peers
	return announced{l, new(atomic.Uint32)}
}

// Dial connects and sends a header of version 2.
func (l announced) Dial() (conn net.Conn, err error) {
	if pipe, ok := l.Listener.(*listen.Pipe); ok {
		conn, err = pipe.DialFrom(&net.TCPAddr{IP: net.ParseIP(proxyAddress), Port: 1})
	} else {
		conn, err = l.Listener.Dial()
	}
	if err != nil {
		return nil, err
	}
	header := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")
	header = binary.BigEndian.AppendUint32(header, 10<<24+l.clients.Add(1))
	_, err = conn.Write(append(header, 10, 0, 0, 1, 0xc3, 0x50, 0x01, 0xbb))
	return conn, err
}

// rooms are the directories of invitations, by the test that has made them: who is invited does not know the server.
var rooms sync.Map

func roomOf(t testing.TB) string {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	dir, ok := rooms.Load(test)
	if !ok {
		t.Fatalf("%s has no directory of invitations", test)
	}
	return dir.(string)
}

func inviteOnly(t testing.TB) *access.Access {
	t.Helper()
	a, err := access.New(access.Options{Mode: access.Invite, Invitations: roomOf(t), Log: zerolog.New(io.Discard)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newInvitation returns the base path of somebody who is invited.
func newInvitation(t testing.TB) string {
	t.Helper()
	code, err := access.NewInvitations(roomOf(t)).Create(time.Now().Add(time.Hour), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return "/" + code.Path() + "/"
}
