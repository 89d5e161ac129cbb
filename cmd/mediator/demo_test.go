package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"openmediator/d2m"
)

// TestDemo plays it as it is: a process, which starts and kills another one.
func TestDemo(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_LISTEN=of another server")
	s.environ = append(s.environ, "TMPDIR="+s.home)
	began := time.Now()
	stdout, stderr, code := s.run("demo")
	if code != exitDone || stderr != "" {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	// In this order.
	rest := stdout
	for _, want := range []string{
		"chat      server: process ", "server    process ", "phone     proved that it has the key", "phone     was promoted to leader", "laptop    proved", "tablet    proved",
		"stranger  knows the group's id but not its key: refused with 4010",
		`phone     reflected "lunch at noon?"`, `laptop    got "lunch at noon?"`, `tablet    got "lunch at noon?"`,
		"tablet    went offline", `phone     reflected "noon is fine"`, `phone     reflected "and an umbrella"`, "laptop    got all 5",
		"none of these texts", "server    was killed without warning (signal: killed)", "phone     lost its connection", "laptop    lost",
		"server    runs again", "phone     is back by itself", "laptop    is back by itself", "was promoted to leader",
		"tablet    is back: slot EXISTING, 5 messages wait", `tablet    got "noon is fine"`, `tablet    got "the usual place?"`,
		`tablet    got "no, by the river"`, `tablet    got "bring the dog"`, `tablet    got "and an umbrella"`, "tablet    has its queue dry",
		"tablet    left and is back", "phone     took the lock of the group, to change a contact", "phone     reflected 3 messages under the lock",
		"tablet    asked for the lock as well and was rejected: the phone has it, to change a contact",
		"laptop    asked the server who is there and got the answer, but none", "phone     committed", "laptop    got all 3", "tablet    got all 3",
		"tablet    was told after them", "tablet    asked again and has the lock", "tablet    gave it back",
		"led the group and left", "was promoted to leader",
		"alice     logged in to the chat server as ALICE001", "bob's one logged in to the chat server as BOB00001, through the mediator; leads",
		"bob's two logged in to the chat server as BOB00001, through the mediator; does not lead",
		`alice     sent "are you on your way?" to BOB00001`, "bob's one leads and got it from the chat server", "bob's two got it as well",
		"bob's one was killed", "bob's two was promoted to leader", `alice     sent "I have got a table"`, "bob's two got it from the chat server",
		"servers   neither has a word", "addresses ", "done ",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is missing, or not in its place:\n%s", want, stdout)
		}
		rest = after
	}
	const seen = "addresses devices connect to the mediator from 127.0.1.1, 127.0.1.2, 127.0.1.3; " +
		"the chat server has seen connections from 127.0.2.1\n"
	if !strings.Contains(stdout, seen) && !strings.Contains(stdout, "is left out") {
		t.Errorf("the addresses are missing:\n%s", stdout)
	}
	if runtime.GOOS == "linux" && !strings.Contains(stdout, seen) {
		t.Errorf("the addresses were left out:\n%s", stdout)
	}
	if left, err := os.ReadDir(s.home); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Whose connections the tests tamper with.
var (
	laptopAtFirst = session{device: 2, login: 1}
	tabletAtFirst = session{device: 3, login: 1}
	tabletAgain   = session{device: 3, login: 2} // as the lock's rival, if only that is played
	bobsTwo       = session{device: 3, login: 1} // if only the chat is played
)

// playLock plays the part with the transactions.
func playLock(d *demo, ctx context.Context) error {
	return d.play(ctx, d.startServer, d.authenticate, d.competeForLock, d.changeLeader, d.nothingElse)
}

// playChat plays the part with two users.
func playChat(d *demo, ctx context.Context) error {
	return d.play(ctx, d.startChatServer, d.startServer, d.openChat, d.chatToLeader, d.killLeader, d.searchChatDisks, d.showAddresses, d.noOtherChat)
}

// TestDemoFailsIfAnythingDiffers: a server that drops or changes one message does not get through.
func TestDemoFailsIfAnythingDiffers(t *testing.T) {
	t.Parallel()
	drop := func([]byte, *[]byte) [][]byte { return nil }
	// swap keeps a frame back until after the next one.
	swap := func(frame []byte, kept *[]byte) [][]byte {
		*kept = bytes.Clone(frame)
		return nil
	}
	alter := func(at int) func([]byte, *[]byte) [][]byte {
		return func(frame []byte, _ *[]byte) [][]byte {
			frame[at]++
			return [][]byte{frame}
		}
	}
	promote := func(frame []byte, _ *[]byte) [][]byte { return [][]byte{d2m.RolePromotedToLeader{}.Append(nil), frame} }
	for _, test := range []struct {
		name      string
		of        session
		reflected int // the fault is at this message
		fault     func(frame []byte, kept *[]byte) [][]byte
		want      string
	}{
		{"drops the only one", tabletAtFirst, 1, drop, `tablet did not see the message "lunch at noon?" within 3s`},
		{"drops one of many", laptopAtFirst, 3, drop, `laptop saw the message "no, by the river" where the message "the usual place?" was due`},
		{"drops one from the queue", tabletAgain, 2, drop, `tablet saw the message "no, by the river" where the message "the usual place?" was due`},
		{"drops the last of the queue", tabletAgain, 5, drop, `tablet saw its queue run dry where the message "and an umbrella" was due`},
		{"swaps two", tabletAgain, 1, swap, `tablet saw the message "the usual place?" where the message "noon is fine" was due`},
		{"changes a time", tabletAgain, 1, alter(4 + 8), "and the phone was told"},
		{"promotes a second leader", tabletAtFirst, 1, promote, `tablet saw its promotion to leader where the message "lunch at noon?" was due`},
		{"changes an envelope", tabletAgain, 1, alter(4 + 16 + 30), "tablet saw a message it cannot read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var kept []byte
			reflected := 0
			server := newRelayServer(t, func(of session, frame []byte) ([][]byte, error) {
				if of != test.of || d2m.Type(frame[0]) != d2m.TypeReflected {
					return [][]byte{frame}, nil
				}
				switch reflected++; {
				case reflected == test.reflected:
					return test.fault(frame, &kept), nil
				case reflected == test.reflected+1 && kept != nil:
					return [][]byte{frame, kept}, nil
				}
				return [][]byte{frame}, nil
			})
			mustFail(t, server, (*demo).run, test.want)
		})
	}
}

// TestDemoFailsIfTransactionDiffers: a server that breaks one promise of a transaction does not get through.
func TestDemoFailsIfTransactionDiffers(t *testing.T) {
	t.Parallel()
	drop := func([]byte) [][]byte { return nil }
	// follow puts another message behind.
	follow := func(m d2m.Message) func([]byte) [][]byte {
		return func(frame []byte) [][]byte { return [][]byte{frame, m.Append(nil)} }
	}
	reject := func(change func(*d2m.TransactionRejected)) func([]byte) [][]byte {
		return func(frame []byte) [][]byte {
			m, _ := d2m.Parse(frame)
			rejected, _ := m.(d2m.TransactionRejected)
			change(&rejected)
			return [][]byte{rejected.Append(nil)}
		}
	}
	become := func(m d2m.Message) func([]byte) [][]byte {
		return func([]byte) [][]byte { return [][]byte{m.Append(nil)} }
	}
	for _, test := range []struct {
		name  string
		at    d2m.Type
		nth   int
		fault func(frame []byte) [][]byte
		want  string
	}{
		{"one message missing", d2m.TypeReflected, 2, drop, `tablet saw the message "and a new birthday" where the message "a new picture" was due`},
		{"last message missing", d2m.TypeReflected, 3, drop, `tablet saw the end of another's transaction where the message "and a new birthday" was due`},
		{"one message twice", d2m.TypeReflected, 1, func(frame []byte) [][]byte { return [][]byte{frame, frame} },
			`tablet saw the message "Ann has a new name" where the message "a new picture" was due`},
		{"end ahead of the messages", d2m.TypeReflected, 1, func(frame []byte) [][]byte {
			return [][]byte{d2m.TransactionEnded{}.Append(nil), frame}
		}, `tablet saw the end of another's transaction where the message "Ann has a new name" was due`},
		{"lock while it is held", d2m.TypeTransactionRejected, 1, become(d2m.BeginTransactionAck{}),
			"tablet saw the lock given to it where the rejection of its transaction was due"},
		{"no rejection", d2m.TypeTransactionRejected, 1, drop, "tablet did not see the rejection of its transaction within 3s"},
		{"rejection with another holder", d2m.TypeTransactionRejected, 1, reject(func(m *d2m.TransactionRejected) { m.DeviceID = 0xbad }),
			"tablet was told that device 0000000000000bad holds the lock, scope contact; it is the phone, scope contact"},
		{"rejection with another scope", d2m.TypeTransactionRejected, 1, reject(func(m *d2m.TransactionRejected) { m.Scope = nil }),
			"holds the lock, scope unknown; it is the phone, scope contact"},
		{"message before the commit", d2m.TypeTransactionRejected, 1, follow(d2m.Reflected{ID: 1}),
			"before the commit"},
		{"no end", d2m.TypeTransactionEnded, 1, drop, "tablet did not see the end of another's transaction within 3s"},
		{"end of another holder's", d2m.TypeTransactionEnded, 1, become(d2m.TransactionEnded{DeviceID: 0xbad}), "has ended; it was the phone's"},
		{"no lock", d2m.TypeBeginTransactionAck, 1, drop, "tablet did not see the lock given to it within 3s"},
		{"no answer to the commit", d2m.TypeCommitTransactionAck, 1, drop, "tablet did not see its transaction committed within 3s"},
		{"something odd", d2m.TypeCommitTransactionAck, 1, follow(d2m.ReflectAck{}), "tablet saw a ReflectAck as well"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seen := 0
			server := newRelayServer(t, func(of session, frame []byte) ([][]byte, error) {
				if of == tabletAgain && d2m.Type(frame[0]) == test.at {
					if seen++; seen == test.nth {
						return test.fault(frame), nil
					}
				}
				return [][]byte{frame}, nil
			})
			mustFail(t, server, playLock, test.want)
		})
	}
}

// TestDemoFailsIfChatDiffers: a mediator that keeps a message from Bob's second device, or does not let it lead, does not
// get through.
func TestDemoFailsIfChatDiffers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		at    d2m.Type
		fault func(frame []byte) [][]byte
		want  string
	}{
		{"not reflected", d2m.TypeReflected, func([]byte) [][]byte { return nil },
			`bob's two did not see the chat message "are you on your way?" within 3s`},
		{"reflected something else", d2m.TypeReflected, func(frame []byte) [][]byte {
			frame[4+16+30]++
			return [][]byte{frame}
		}, "bob's two saw a message it cannot read"},
		{"no promotion", d2m.TypeRolePromotedToLeader, func([]byte) [][]byte { return nil },
			"bob's two did not see its promotion to leader within 3s"},
		{"promoted too early", d2m.TypeReflected, func(frame []byte) [][]byte {
			return [][]byte{d2m.RolePromotedToLeader{}.Append(nil), frame}
		}, `bob's two saw its promotion to leader where the chat message "are you on your way?" was due`},
		{"chat server's word missing", d2m.TypeProxy, func([]byte) [][]byte { return nil }, "bob's two was not logged in by the chat server within 3s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			done := false
			server := newRelayServer(t, func(of session, frame []byte) ([][]byte, error) {
				if of == bobsTwo && d2m.Type(frame[0]) == test.at && !done {
					done = true
					return test.fault(frame), nil
				}
				return [][]byte{frame}, nil
			})
			mustFail(t, server, playChat, test.want)
		})
	}
}

// TestDemoFailsIfTheChatServerSeesAnotherAddress: here the mediator goes out from the address that the system chooses.
func TestDemoFailsIfTheChatServerSeesAnotherAddress(t *testing.T) {
	t.Parallel()
	server, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	if server.local == "" {
		t.Log("this system has no addresses that could be seen")
		return
	}
	server.local = ""
	mustFail(t, server, playChat, "chat server has seen connections from 127.0.0.1, want 127.0.2.1 alone")
}

// TestDemoWithoutAddresses is on a system whose loopback interface has one address only.
func TestDemoWithoutAddresses(t *testing.T) {
	t.Parallel()
	server, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	server.local = ""
	var out bytes.Buffer
	d := newDemo(server, &out)
	d.addresses = false
	if err := playChat(d, testContext(t)); err != nil {
		t.Errorf("got %v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "addresses this system has no 127.0.1.0/24 and 127.0.2.1: ") || strings.Contains(out.String(), "that of no device") {
		t.Errorf("got:\n%s", &out)
	}
}

// TestDemoFailsIfADeviceGoesPastTheMediator: the chat server sees it, however short its connection was.
func TestDemoFailsIfADeviceGoesPastTheMediator(t *testing.T) {
	t.Parallel()
	if !hasDemoAddresses() {
		t.Log("this system has no addresses that could be seen")
		return
	}
	inner, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	server := &indiscreetServer{processServer: inner}
	defer server.close()
	mustFail(t, server, playChat, "chat server has seen connections from 127.0.1.9, 127.0.2.1, want 127.0.2.1 alone")
	if server.err != nil {
		t.Fatal(server.err)
	}
}

// indiscreetServer lets the chat server have a visit by a device.
type indiscreetServer struct {
	*processServer
	err error
}

func (s *indiscreetServer) start(ctx context.Context) (url string, process int, err error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 9)}}
	conn, err := dialer.DialContext(ctx, "tcp", s.upstream)
	if s.err = err; err == nil {
		conn.Close()
	}
	return s.processServer.start(ctx)
}

// TestDemoSeesWhatComesBeforeTheCommit: the laptop is given something when the phone has the lock.
func TestDemoSeesWhatComesBeforeTheCommit(t *testing.T) {
	t.Parallel()
	var held atomic.Bool
	server := newRelayServer(t, func(of session, frame []byte) ([][]byte, error) {
		switch kind := d2m.Type(frame[0]); {
		case of.device == 1 && kind == d2m.TypeBeginTransactionAck:
			held.Store(true)
		case of.device == 2 && kind == d2m.TypeDevicesInfo && held.Load():
			return [][]byte{d2m.Reflected{ID: 1}.Append(nil), frame}, nil
		}
		return [][]byte{frame}, nil
	})
	mustFail(t, server, playLock, "before the commit")
}

// mustFail plays the demo, or a part of it, and wants an error that says something.
func mustFail(t *testing.T, server demoServer, play func(*demo, context.Context) error, want string) {
	t.Helper()
	var out bytes.Buffer
	d := newDemo(server, &out)
	if strings.HasSuffix(want, "within 3s") { // the others do not wait in vain
		d.patience = 3 * time.Second
	}
	err := play(d, testContext(t))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want one that says %s\n%s", err, want, &out)
	}
	if exitCode(err) == exitDone || strings.Contains(out.String(), "done") {
		t.Errorf("exit code %d\n%s", exitCode(err), &out)
	}
}

// TestDemoByRelay: it is not the relay that the demo fails of.
func TestDemoByRelay(t *testing.T) {
	t.Parallel()
	server := newRelayServer(t, untouched)
	var out bytes.Buffer
	if err := newDemo(server, &out).run(testContext(t)); err != nil {
		t.Errorf("got %v\n%s", err, &out)
	}
}

// TestDemoInterrupted leaves neither a process nor a file behind.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	server, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	err = newDemo(server, writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("went offline")) {
			cancel()
		}
		return len(p), nil
	})).run(ctx)
	if !errors.Is(err, context.Canceled) || exitCode(err) == exitDone {
		t.Errorf("got %v", err)
	}
	children := []*child{server.mediator, server.chat}
	server.close()
	for _, c := range children {
		if c == nil || c.command.ProcessState == nil {
			t.Error("a server runs on")
		}
	}
	if _, err := os.Stat(server.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestDemoWithoutAServer says why there is none.
func TestDemoWithoutAServer(t *testing.T) {
	t.Parallel()
	server, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	server.listen = "192.0.2.1:1"
	var out bytes.Buffer
	err = newDemo(server, &out).run(testContext(t))
	if err == nil || !strings.Contains(err.Error(), "server ended before it listened: mediator: listen: ws://192.0.2.1:1") {
		t.Errorf("got %v\n%s", err, &out)
	}
}

func TestSearchFiles(t *testing.T) {
	files := fstest.MapFS{"a/b": {Data: []byte("xx")}, "c": {Data: []byte("the text is here")}}
	if read, found, err := searchFiles(files, "text"); read != 18 || !found || err != nil {
		t.Errorf("got %d, %v, %v", read, found, err)
	}
	if _, found, err := searchFiles(files, "other"); found || err != nil {
		t.Errorf("got %v, %v", found, err)
	}
}
