package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// showAddresses tells which addresses the chat server has seen: the system's list of connections knows it better than the
// chat server, which keeps none.
func (d *demo) showAddresses(ctx context.Context) error {
	if !d.addresses {
		return d.say(ctx, "addresses", "this system has no %v and %v: what the chat server sees of them is left out", demoDevices, demoLocal)
	}
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", d.chatServer.process))
	if err != nil {
		return d.say(ctx, "addresses", "this system does not list connections (%v): which ones the chat server sees is left out", err)
	}
	peers, err := peersOf(list, d.chatServer.address)
	if err != nil {
		return err
	}
	var devices []netip.Addr
	for _, v := range []*demoDevice{d.sender, d.first, d.further} {
		devices = append(devices, v.chat.from)
	}
	err = d.say(ctx, "addresses", "devices connect to the mediator from %s; the chat server has seen connections from %s",
		joinAddresses(devices), joinAddresses(peers))
	if err != nil {
		return err
	}
	if !slices.Equal(peers, []netip.Addr{demoLocal}) {
		return fmt.Errorf("chat server has seen connections from %s, want %v alone, where the mediator goes out from",
			joinAddresses(peers), demoLocal)
	}
	return d.say(ctx, "chat", "server knows the mediator's address, and that of no device")
}

func joinAddresses(all []netip.Addr) string {
	if len(all) == 0 {
		return "nowhere"
	}
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// tcpListens is the state of a listening socket in Linux's list.
const tcpListens = "0A"

// peersOf reads Linux's list of connections, those that have just ended included, and returns the addresses at the other
// end of those with a server, sorted. On the loopback interface a connection stands there twice, once for each end.
func peersOf(list []byte, server netip.AddrPort) (peers []netip.Addr, err error) {
	number := 0
	for line := range bytes.Lines(list) {
		fields := strings.Fields(string(line))
		if number++; number == 1 || len(fields) == 0 {
			continue // the head of the table
		}
		if len(fields) < 4 {
			return nil, fmt.Errorf("list of connections: line %d has %d words", number, len(fields))
		}
		local, err := parseEndpoint(fields[1])
		if err != nil {
			return nil, err
		}
		remote, err := parseEndpoint(fields[2])
		switch {
		case err != nil:
			return nil, err
		case fields[3] == tcpListens:
		case local == server:
			peers = append(peers, remote.Addr())
		case remote == server:
			peers = append(peers, local.Addr())
		}
	}
	slices.SortFunc(peers, netip.Addr.Compare)
	return slices.Compact(peers), nil
}

// parseEndpoint reads ADDRESS:PORT in hex; the address is a number in the machine's own byte order.
func parseEndpoint(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	data, err := hex.DecodeString(address)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(data) != 4 {
		return netip.AddrPort{}, fmt.Errorf("list of connections: %q is not an IPv4 address and a port", text)
	}
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(data))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(n)), nil
}
