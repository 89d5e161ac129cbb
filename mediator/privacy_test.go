package mediator_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/privacy"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// plantedAddress is the address of every client, and part of every error of the network.
const plantedAddress = "203.0.113.77"

func planted(err error) error {
	address := &net.TCPAddr{IP: net.ParseIP(plantedAddress), Port: 4711}
	return &net.OpError{Op: "read", Net: "tcp", Source: address, Addr: address, Err: err}
}

// noisyListener gives net/http and the server errors to print, with addresses in their texts.
type noisyListener struct {
	listen.Loopback
	mu       sync.Mutex
	accepted int
}

// temporary is an error after which net/http logs and tries again.
type temporary struct{ error }

func (temporary) Timeout() bool   { return false }
func (temporary) Temporary() bool { return true }

func (l *noisyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.accepted++
	first := l.accepted == 1
	l.mu.Unlock()
	if first {
		return nil, temporary{planted(errors.New("accept went wrong"))}
	}
	c, err := l.Loopback.Accept()
	if err != nil {
		return nil, err
	}
	return noisyConn{c.(*net.TCPConn)}, nil
}

// noisyConn has the planted address, and its end is an error that says so.
type noisyConn struct{ *net.TCPConn }

func (c noisyConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(plantedAddress), Port: 4711}
}

func (c noisyConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = planted(syscall.ECONNRESET)
	}
	return n, err
}

// What must not be found in a log, but for addresses and group ids.
const (
	secretServerGroup = "SecretServerGroup"
	secretDevice      = d2m.DeviceID(0x1122334455667788)
	secretText        = "secret payload"
)

// policyOf is a level that lasts.
func policyOf(level privacy.Level) privacy.Policy {
	return privacy.Policy{Level: level, Until: time.Now().Add(time.Hour)}
}

// session makes the server log all that it can: logins, refusals, every kind of end, failures of the store.
func session(t *testing.T, level privacy.Level) (log *logBuffer, id identity) {
	t.Helper()
	log = new(logBuffer)
	config := mediator.DefaultConfig()
	config.Log = zerolog.New(log)
	config.Privacy = policyOf(level)
	config.Group.QueueMessages = 6
	config.Group.MaxSlots = 3
	s := startServer(t, &noisyListener{Loopback: listen.TCP(t)}, memstore.New(), config)
	id = newIdentity(t)
	id.serverGroup = secretServerGroup

	d, _ := s.login(id, secretDevice, d2m.SlotNew)
	other, _ := s.login(id, secretDevice+1, d2m.SlotNew)
	away, _ := s.login(id, secretDevice+2, d2m.SlotNew)
	away.ws.CloseNow()
	expect[d2m.RolePromotedToLeader](d.device)
	d.awaitAbsence(secretDevice + 2)
	for i := range 7 {
		d.reflect(d2m.ReflectID(i), []byte(secretText))
		other.send(d2m.ReflectedAck{ID: expect[d2m.Reflected](other.device).ID})
		other.barrier() // else its queue may reach the limit as well
	}
	s.refused(id, secretDevice+1, d2m.SlotNew, d2m.CloseSlotState)
	s.refused(id, secretDevice+9, d2m.SlotExisting, d2m.CloseSlotState)
	replaced, _ := s.login(id, secretDevice+1, d2m.SlotExisting)
	other.expectClose(d2m.CloseReplaced)
	replaced.leave()
	s.endings(t, id)

	dropped, _ := s.login(id, secretDevice+1, d2m.SlotExisting)
	d.send(d2m.DropDevice{DeviceID: secretDevice + 1})
	await[d2m.DropDeviceAck](d.device)
	dropped.expectClose(d2m.CloseDropped)

	s.memory().Fail(func(memstore.Op, d2m.GroupID) error { return reflect.ErrUnavailable })
	d.send(d2m.SetSharedDeviceData{Data: []byte(secretText)})
	d.expectClose(d2m.CloseInternal)
	s.refused(id, secretDevice, d2m.SlotExisting, d2m.CloseInternal)
	s.memory().Fail(nil)
	last, _ := s.login(id, secretDevice, d2m.SlotExisting)
	last.listen()
	s.Shutdown(t.Context())
	return log, id
}

// endings are connections that end for something that arrived on them.
func (s *testServer) endings(t *testing.T, id identity) {
	t.Helper()
	for _, v := range readVectors(t).Invalid {
		w := s.loginWire(id, secretDevice+1, d2m.SlotExisting)
		w.frame(fin|opBinary, v.Frame)
		w.expectClose(d2m.CloseProtocolError)
	}
	for _, frame := range [][]byte{
		appendFrame(nil, fin|opText, []byte(secretText)),
		appendFrame(nil, fin|opBinary, append([]byte{0x7f, 0, 0, 0}, secretText...)),
		appendMessages(nil, d2m.ReflectedAck{ID: 123_456_789}),
		appendMessages(nil, d2m.Proxy{Data: []byte(secretText)}),
		appendFrame(nil, fin|opClose, append([]byte{0x0f, 0xa0}, secretText...)),
		unmasked(fin|opBinary, []byte(secretText)),
	} {
		w := s.loginWire(id, secretDevice+1, d2m.SlotExisting)
		w.write(frame)
		<-w.listen().done
	}
	wrong := s.dial(id)
	hello := wrong.hello(expect[d2m.ServerHello](wrong), secretDevice, d2m.SlotExisting)
	hello.Response[40] ^= 1
	wrong.send(hello)
	wrong.expectClose(d2m.CloseProtocolError)
	s.dialTCP().writeString(id.path() + secretText + "\r\n\r\n")
	s.ask(upgradeRequest("GET", id.path()+"x", "Origin: "+secretText))
}

// forbidden are the texts that no log may hold at any level but full.
func forbidden(id identity) map[string]string {
	texts := map[string]string{
		"the server group":    secretServerGroup,
		"a payload":           secretText,
		"a payload in hex":    hex.EncodeToString([]byte(secretText)),
		"a payload in base64": base64.StdEncoding.EncodeToString([]byte(secretText))[:16],
		"an acknowledged id":  "123456789",
		"a client's address":  plantedAddress,
		"loopback":            "127.0.0.1",
		"a port":              ":4711", // four digits alone may be a part of a pseudonym
		"a port in a text":    " 4711",
		"a port as a text":    `"4711"`,
		"the device group id": hex.EncodeToString(id.group[:]),
		"a part of it":        hex.EncodeToString(id.group[:4]),
		"its end":             hex.EncodeToString(id.group[28:]),
		"it in base64":        base64.RawStdEncoding.EncodeToString(id.group[:])[:12],
		"it as it is":         string(id.group[:]),
		"the path":            id.path()[1:20],
	}
	for i := range d2m.DeviceID(3) {
		texts[fmt.Sprintf("device id %d", i)] = fmt.Sprint(uint64(secretDevice + i))
		texts[fmt.Sprintf("device id %d in hex", i)] = fmt.Sprintf("%x", uint64(secretDevice+i))
	}
	return texts
}

func TestB42_LogNamesNobody(t *testing.T) {
	for _, level := range []privacy.Level{privacy.Strict, privacy.Operator} {
		t.Run(level.String(), func(t *testing.T) {
			log, id := session(t, level)
			text := strings.ToLower(string(log.bytes()))
			for what, secret := range forbidden(id) {
				if at := strings.Index(text, strings.ToLower(secret)); at >= 0 {
					t.Errorf("the log holds %s: …%s…", what, text[max(0, at-80):min(len(text), at+80)])
				}
			}
			if strings.Contains(text, "privacy is off") {
				t.Error("the log announces what is not so")
			}
			for _, said := range []string{"client hello: response does not match", "reflect", "text message", "rfc 6455", "storage failed",
				"storage works again", "half full", "reached the limit", "http connection failed", `"code":4112`, `"code":4113`, `"code":4115`,
				`"code":4012`, `"code":1001`, `"code":1011`, `"cause":"reset"`, "closed by the device"} {
				if !strings.Contains(text, said) {
					t.Errorf("the log does not say %q", said)
				}
			}
		})
	}
}

// The debug switch is announced at start, and shows what it announces.
func TestB42_FullIsAnnounced(t *testing.T) {
	log, id := session(t, privacy.Full)
	text := string(log.bytes())
	first, rest, _ := strings.Cut(text, "\n")
	if !strings.Contains(first, "privacy is off") || !strings.Contains(first, "warn") {
		t.Errorf("the log begins with %s", first)
	}
	for _, shown := range []string{plantedAddress, hex.EncodeToString(id.group[:])} {
		if !strings.Contains(rest, shown) {
			t.Errorf("the log does not hold %s: a debug switch that shows nothing", shown)
		}
	}
	if strings.Contains(text, secretText) {
		t.Error("the log holds a payload")
	}
}

// fields returns the values that a field has in the lines of a log.
func (l *logBuffer) fields(t *testing.T, name string) (values []string) {
	t.Helper()
	for _, line := range l.lines(`"` + name + `"`) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		values = append(values, fields[name].(string))
	}
	return values
}

// A pseudonym links the lines of one connection, or of one group where the operator wants that, and changes at each start.
func TestB42_Pseudonyms(t *testing.T) {
	start := func(id identity) (log *logBuffer) {
		log = new(logBuffer)
		config := mediator.DefaultConfig()
		config.Log, config.Privacy = zerolog.New(log), policyOf(privacy.Operator)
		s := startServer(t, listen.TCP(t), memstore.New(), config)
		for _, who := range []identity{id, id, newIdentity(t)} {
			d := s.dial(who)
			expect[d2m.ServerHello](d)
			d.send(d2m.GetDevicesInfo{})
			d.expectClose(d2m.CloseProtocolError)
		}
		s.Shutdown(t.Context())
		return log
	}
	id := newIdentity(t)
	first, second := start(id), start(id)
	groups, connections := first.fields(t, "group"), first.fields(t, "connection")
	if len(groups) != 3 || groups[0] != groups[1] || groups[0] == groups[2] {
		t.Errorf("two connections of one group and one of another are named %q", groups)
	}
	slices.Sort(connections)
	if len(slices.Compact(connections)) != 3 {
		t.Errorf("three connections are named %q", connections)
	}
	if again := second.fields(t, "group"); again[0] == groups[0] {
		t.Errorf("the pseudonym %q is the same after a restart", again[0])
	}
}

func TestB42_StrictLogHasNoGroups(t *testing.T) {
	log, _ := session(t, privacy.Strict)
	if names := log.fields(t, "group"); len(names) != 0 {
		t.Errorf("the log holds names of groups: %q", names)
	}
	if names := log.fields(t, "connection"); len(names) == 0 {
		t.Error("the log holds no names of connections")
	}
}

func TestB42_StrictIsTheDefault(t *testing.T) {
	if mediator.DefaultConfig().Privacy.Level != privacy.Strict {
		t.Error("strict is not the default")
	}
}

// A server that starts when the time of full is over says so, and names nobody.
func TestB42_FullThatIsOverIsStrict(t *testing.T) {
	var log logBuffer
	config := mediator.DefaultConfig()
	config.Log = zerolog.New(&log)
	config.Privacy = privacy.Policy{Level: privacy.Full, Until: time.Now().Add(-time.Minute)}
	s := startServer(t, listen.TCP(t), memstore.New(), config)
	d := s.dial(newIdentity(t))
	expect[d2m.ServerHello](d)
	d.send(d2m.GetDevicesInfo{})
	d.expectClose(d2m.CloseProtocolError)
	if len(log.lines("privacy full has ended")) != 1 || len(log.lines(`"address"`)) != 0 {
		t.Errorf("the log is\n%s", log.bytes())
	}
}

func TestB42_FullNeedsAnEnd(t *testing.T) {
	config := mediator.DefaultConfig()
	config.Privacy.Level = privacy.Full
	if err := config.Validate(); err == nil {
		t.Error("full for ever is accepted")
	}
}
