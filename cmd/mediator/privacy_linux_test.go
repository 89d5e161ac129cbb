package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// The network that the clients of these tests have their addresses in. Linux has all of 127.0.0.0/8 on its loopback
// interface.
const plantedNetwork = "127.66."

// plantedGroup is a server group that stands nowhere else.
const plantedGroup = "planted66servergroup"

// visitor does to a server what clients do, each time from another planted address.
type visitor struct {
	t     testing.TB
	url   string
	keys  *devicekeys.Keys
	count int
}

func newVisitor(t testing.TB, url string) *visitor {
	return &visitor{t: t, url: url, keys: newTestKeys(t)}
}

const plantedDevice d2m.DeviceID = 0xfeedface12345678

// dial makes a TCP connection from a planted address.
func (v *visitor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	v.count++
	from := net.ParseIP(fmt.Sprintf("%s%d.%d", plantedNetwork, v.count/200, 1+v.count%200))
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext(ctx, network, address)
}

func (v *visitor) tcp() net.Conn {
	v.t.Helper()
	conn, err := v.dial(testContext(v.t), "tcp", strings.TrimPrefix(v.url, "ws://"))
	if err != nil {
		v.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(testTimeout))
	v.t.Cleanup(func() { conn.Close() })
	return conn
}

// say sends bytes and reads until the server ends the connection.
func (v *visitor) say(text string) {
	v.t.Helper()
	conn := v.tcp()
	if _, err := conn.Write([]byte(text)); err != nil {
		v.t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	drain(conn)
}

func drain(conn net.Conn) {
	buffer := make([]byte, 4096)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func (v *visitor) path() string {
	return "/" + d2m.ClientURLInfo{GroupID: v.keys.GroupID(), ServerGroup: plantedGroup}.Segment()
}

// upgrade makes a WebSocket connection whose frames are up to the caller.
func (v *visitor) upgrade() net.Conn {
	v.t.Helper()
	conn := v.tcp()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", v.path())
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		v.t.Fatal(response, err)
	}
	return conn
}

// reset ends a connection by a TCP reset.
func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// device connects a device of the planted group.
func (v *visitor) device(id d2m.DeviceID, receive func(client.Message)) *client.Device {
	v.t.Helper()
	device, err := client.Connect(testContext(v.t), client.Config{
		URL: v.url, ServerGroup: plantedGroup, Keys: v.keys, DeviceID: id, Dialer: client.Dialer{DialContext: v.dial},
		Receive: func(_ context.Context, m client.Message) error {
			receive(m)
			return nil
		},
	})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(device.Close)
	return device
}

// behave uses the server as it is meant to be used.
func (v *visitor) behave() {
	v.t.Helper()
	got := make(chan client.Message, 1)
	first := v.device(plantedDevice, func(m client.Message) { got <- m })
	second := v.device(plantedDevice+1, func(client.Message) {})
	if _, err := second.Reflect(testContext(v.t), devicekeys.Envelope{Text: "planted payload"}); err != nil {
		v.t.Fatal(err)
	}
	<-got
	if _, err := second.Devices(testContext(v.t)); err != nil {
		v.t.Fatal(err)
	}
	v.device(plantedDevice+2, func(client.Message) {})
	if err := second.Drop(testContext(v.t), plantedDevice); err != nil {
		v.t.Fatal(err)
	}
	<-first.Done()
	second.Close()
}

// misbehave does what the server has to end connections for.
func (v *visitor) misbehave() {
	v.t.Helper()
	v.say("\x00\x01\x02 garbage \xff\r\n\r\n")
	v.say("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello on the plain port")
	v.say("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("long ", 20_000) + "\r\n\r\n")
	v.say("POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-Forwarded-For: " + plantedNetwork + "9.9\r\n\r\nabc")
	v.say("GET /no-group HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	v.say("GET " + v.path() + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\n\r\n")
	v.say("GET " + v.path() + " HTTP/1.1\r\nHost: x\r\n\r\n")
	v.say("")
	reset(v.tcp())
	reset(v.upgrade())
	for _, frame := range []string{
		"\x82\x01x",                 // not masked
		"\xf2\x81\x00\x00\x00\x00x", // reserved bits
		"\x83\x81\x00\x00\x00\x00x", // unknown opcode
		"\x09\x80\x00\x00\x00\x00",  // a control frame in parts
		"\x81\x81\x00\x00\x00\x00x", // text
		"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", // 2⁶³-1 bytes
		"\x82\x85\x00\x00\x00\x00\xee\x00\x00\x00\x00",             // no D2M message
		"\x88\x80\x00\x00\x00\x00",                                 // a close
	} {
		conn := v.upgrade()
		if _, err := conn.Write([]byte(frame)); err != nil {
			v.t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite()
		drain(conn)
	}
	v.misauthenticate()
}

// misauthenticate logs in with a wrong key, an impossible expectation, and twice as the same device.
func (v *visitor) misauthenticate() {
	v.t.Helper()
	v.login(newTestKeys(v.t), d2m.ClientHello{}, d2m.CloseProtocolError)
	v.login(v.keys, d2m.ClientHello{Version: 9}, d2m.CloseUnsupportedVersion)
	v.login(v.keys, d2m.ClientHello{DeviceID: 99, Expected: d2m.SlotExisting}, d2m.CloseSlotState)
	device := v.device(plantedDevice+3, func(client.Message) {})
	v.login(v.keys, d2m.ClientHello{DeviceID: plantedDevice + 3, Expected: d2m.SlotExisting}, d2m.CloseNormal)
	<-device.Done()
}

// wire connects and says nothing.
func (v *visitor) wire() *client.Wire {
	v.t.Helper()
	url, err := client.URL(v.url, v.keys.GroupID(), plantedGroup)
	if err != nil {
		v.t.Fatal(err)
	}
	wire, err := client.Dialer{DialContext: v.dial}.Dial(testContext(v.t), url)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(wire.CloseNow)
	return wire
}

// login logs in. The server refuses with a code; CloseNormal means that it does not.
func (v *visitor) login(keys *devicekeys.Keys, hello d2m.ClientHello, code d2m.CloseCode) {
	v.t.Helper()
	wire := v.wire()
	_, err := wire.Login(testContext(v.t), keys, hello)
	if err == nil {
		wire.Close(d2m.CloseNormal, "")
		err = &client.CloseError{Code: d2m.CloseNormal}
	}
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		v.t.Fatalf("login: got %v, want code %d", err, code)
	}
}

// sayNothing waits for the end of a connection whose handshake never comes.
func (v *visitor) sayNothing() {
	v.t.Helper()
	_, err := receive[d2m.ServerInfo](v.t, v.wire())
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != d2m.CloseIdle {
		v.t.Fatalf("silent client: got %v, want code %d", err, d2m.CloseIdle)
	}
}

// traces is what must stand in no log: what it means, by how it looks.
func (v *visitor) traces() map[string]string {
	group := fmt.Sprintf("%x", v.keys.GroupID())
	traces := map[string]string{
		plantedNetwork: "an address", group: "the group id", group[:8]: "the beginning of the group id",
		plantedGroup: "a server group", "planted payload": "a payload",
		v.path()[1:]: "the path of a URL",
	}
	for i := range d2m.DeviceID(4) {
		traces[formatDeviceID(plantedDevice+i)] = "a device id"
		traces[fmt.Sprint(uint64(plantedDevice+i))] = "a device id"
	}
	return traces
}

// findTraces returns what a text has of what it must not have.
func findTraces(text string, traces map[string]string) (found []string) {
	for trace, meaning := range traces {
		if strings.Contains(strings.ToLower(text), strings.ToLower(trace)) {
			found = append(found, meaning)
		}
	}
	return found
}

// visit runs a server that logs all it can, has everything done to it, and returns what it has written, and where. Only for
// who says nothing it is impatient: on a busy machine, others may need longer than is waited for that.
func visit(t *testing.T, privacy string) (*visitor, map[string]string) {
	s := newShell(t)
	args := []string{"--data", s.path("data"), "--log-level", "debug",
		"--privacy", privacy, "--privacy-until", time.Now().Add(time.Hour).Format(time.RFC3339)}
	p, url := s.serve(args...)
	v := newVisitor(t, url)
	v.behave()
	v.misbehave()
	p.stop()
	impatient, url := s.serve(append(args, "--handshake-timeout", "2s")...)
	v.url = url
	v.sayNothing()
	impatient.stop()
	written := map[string]string{
		"standard output": p.stdout.String() + impatient.stdout.String(), "standard error": p.stderr.String() + impatient.stderr.String(),
	}
	err := fs.WalkDir(os.DirFS(s.home), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(s.path(path))
		written[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, written
}

func TestB42_NothingTellsWhoWasThere(t *testing.T) {
	t.Parallel()
	for _, privacy := range []string{"strict", "operator"} {
		t.Run(privacy, func(t *testing.T) {
			t.Parallel()
			v, written := visit(t, privacy)
			for where, text := range written {
				if found := findTraces(text, v.traces()); len(found) > 0 {
					t.Errorf("%s holds %v:\n%s", where, found, text)
				}
			}
			log := written["standard error"]
			for _, reason := range []string{
				"response does not match the challenge", "violation of RFC 6455", "text message", "no client hello in time",
				`"code":4112`, `"code":4113`, `"code":4115`, `"code":4110`,
			} {
				if !strings.Contains(log, reason) {
					t.Errorf("the log does not say %q", reason)
				}
			}
			if got := strings.Contains(log, `"group":`); got != (privacy == "operator") {
				t.Errorf("the log has pseudonyms of groups: %v", got)
			}
			// The search finds what is there.
			for trace, meaning := range v.traces() {
				planted := log + `{"level":"debug","message":"accepted ` + strings.ToUpper(trace) + `"}`
				if found := findTraces(planted, v.traces()); len(found) == 0 {
					t.Errorf("planted %s is not found", meaning)
				}
			}
		})
	}
}

// TestB42_FullIsAnnounced: what the other settings hide is there to be hidden.
func TestB42_FullIsAnnounced(t *testing.T) {
	t.Parallel()
	v, written := visit(t, "full")
	log := written["standard error"]
	if !strings.Contains(log, "privacy is off") {
		t.Error("the log does not announce it")
	}
	found := strings.Join(findTraces(log, v.traces()), ", ")
	for _, want := range []string{"an address", "the group id"} {
		if !strings.Contains(found, want) {
			t.Errorf("the log does not hold %s, only %s", want, found)
		}
	}
}
