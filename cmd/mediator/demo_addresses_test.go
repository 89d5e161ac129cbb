package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// connectionList writes what Linux does: local and remote end, and the state.
func connectionList(lines ...[3]string) []byte {
	var b strings.Builder
	b.WriteString("  sl  local_address rem_address   st tx_queue rx_queue\n")
	for i, line := range lines {
		fmt.Fprintf(&b, "%4d: %s %s %s 00000000:00000000\n", i, endpoint(line[0]), endpoint(line[1]), line[2])
	}
	return []byte(b.String())
}

func endpoint(text string) string {
	a := netip.MustParseAddrPort(text)
	ip := a.Addr().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), a.Port())
}

func TestPeersOf(t *testing.T) {
	server := netip.MustParseAddrPort("127.0.0.1:5222")
	for _, test := range []struct {
		name string
		list []byte
		want string
	}{
		{"listening", connectionList([3]string{"127.0.0.1:5222", "0.0.0.0:0", "0A"}), "nowhere"},
		{"server's end", connectionList([3]string{"127.0.0.1:5222", "127.0.2.1:40000", "01"}), "127.0.2.1"},
		{"client's end", connectionList([3]string{"127.0.1.3:40000", "127.0.0.1:5222", "06"}), "127.0.1.3"},
		{"several", connectionList([3]string{"127.0.0.1:5222", "127.0.2.1:40000", "01"}, [3]string{"127.0.2.1:40000", "127.0.0.1:5222", "01"},
			[3]string{"127.0.0.1:5222", "127.0.1.1:40000", "06"}), "127.0.1.1, 127.0.2.1"},
		{"of others", connectionList([3]string{"127.0.0.1:5223", "127.0.2.1:40000", "01"}, [3]string{"127.0.2.2:5222", "127.0.2.1:40000", "01"}), "nowhere"},
	} {
		peers, err := peersOf(test.list, server)
		if err != nil || joinAddresses(peers) != test.want {
			t.Errorf("%s: got %s, %v, want %s", test.name, joinAddresses(peers), err, test.want)
		}
	}
	for _, line := range []string{"0: 0100007F:1466", "0: 0100007F 00000000:0000 0A", "0: 0100007F:1466 0000:0000 0A", "0: x:y 00000000:0000 0A"} {
		if peers, err := peersOf([]byte("head\n"+line+"\n"), server); err == nil {
			t.Errorf("%q: got %v", line, peers)
		}
	}
}

// TestPeersOfThisProcess reads the list of the system, if it has one.
func TestPeersOfThisProcess(t *testing.T) {
	list, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Logf("this system has no list: %v", err)
		return
	}
	l, err := net.Listen("tcp", "127.0.1.78:0") // where nobody else has connections that have just ended
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := l.Addr().(*net.TCPAddr).AddrPort()
	if peers, err := peersOf(list, server); err != nil || len(peers) > 0 {
		t.Errorf("before there is a connection: %v, %v", peers, err)
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 77)}}
	conn, err := dialer.Dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if list, err = os.ReadFile("/proc/self/net/tcp"); err != nil {
		t.Fatal(err)
	}
	if peers, err := peersOf(list, server); err != nil || joinAddresses(peers) != "127.0.1.77" {
		t.Errorf("got %v, %v", peers, err)
	}
}
