package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// holder is a device that holds the lock until it is told what to reflect.
type holder struct {
	t     testing.TB
	texts chan string // closed: commit
	ended chan error
}

// hold takes the lock of the group of a device file.
func (s *shell) hold(name, url string, scope devicekeys.Scope) *holder {
	s.t.Helper()
	device := s.stranger(name, url, nil)
	h := &holder{t: s.t, texts: make(chan string), ended: make(chan error, 1)}
	locked := make(chan struct{})
	ctx := testContext(s.t)
	go func() {
		h.ended <- device.Transaction(ctx, scope, nil, func(ctx context.Context, tx *client.Transaction) error {
			close(locked)
			for text := range h.texts {
				if _, err := tx.Reflect(ctx, devicekeys.Envelope{Text: text}); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	select {
	case <-locked:
	case err := <-h.ended:
		s.t.Fatal(err)
	}
	return h
}

// commit reflects and lets go of the lock.
func (h *holder) commit(texts ...string) {
	h.t.Helper()
	for _, text := range texts {
		h.texts <- text
	}
	close(h.texts)
	if err := <-h.ended; err != nil {
		h.t.Error(err)
	}
}

// texts returns what a listen with --json has got so far.
func textsOf(t *testing.T, p *process) (texts []string) {
	t.Helper()
	for _, object := range objects(t, p.stdout.String()) {
		if object["event"] == "message" {
			texts = append(texts, fmt.Sprint(object["text"]))
		}
	}
	return texts
}

func wantTexts(t *testing.T, p *process, want ...string) {
	t.Helper()
	p.stdout.await(t, `"`+want[len(want)-1]+`"`)
	if got := textsOf(t, p); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTransact(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	laptop := s.listen("laptop", "--json")

	out := s.must("device", "transact", "--scope", "contact", "one", "two\x1b", "three", "--device", "phone")
	lines := strings.Split(out, "\n")
	if len(lines) != 5 || !strings.HasSuffix(lines[0], "reflected: one") || !strings.HasSuffix(lines[1], `reflected: two\x1b`) ||
		!strings.HasSuffix(lines[2], "reflected: three") || lines[3] != "committed: 3 messages, scope contact" {
		t.Errorf("printed %q", out)
	}
	events := objects(t, s.must("device", "transact", "--scope", "mdm-parameter", "four", "--json", "--ttl", "1500ms", "--device", "phone"))
	if len(events) != 2 || events[0]["event"] != "reflected" || events[0]["text"] != "four" ||
		events[1]["event"] != "committed" || events[1]["scope"] != "mdm-parameter" || events[1]["messages"] != 1.0 {
		t.Errorf("printed %v", events)
	}
	wantTexts(t, laptop, "one", "two\x1b", "three", "four")
	for _, object := range objects(t, laptop.stdout.String()) {
		if object["text"] == "four" && object["time"] != events[0]["time"] {
			t.Errorf("the others see %v, this device was told %v", object["time"], events[0]["time"])
		}
	}
	laptop.stop()
}

// TestTransactWaits until the lock is free, and says who has it.
func TestTransactWaits(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop", "tablet")
	laptop := s.listen("laptop", "--json")
	h := s.hold("phone", url, devicekeys.ScopeDistributionList)

	phone := s.start("device", "transact", "--scope", "contact", "phone's", "--device", "phone")
	line := phone.stderr.await(t, "waiting for the lock: device 0000000000000bad (")
	mustBePrintable(t, line)
	if !strings.HasSuffix(line, ") holds it, scope distribution-list") {
		t.Errorf("printed %s", line)
	}
	h.commit("holder's", "holder's, too")
	if code := phone.wait(); code != exitDone || strings.Count(phone.stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d: %s", code, phone.stderr)
	}
	wantTexts(t, laptop, "holder's", "holder's, too", "phone's")

	h = s.hold("phone", url, devicekeys.ScopeGroup)
	tablet := s.start("device", "transact", "--scope", "contact", "tablet's", "--device", "tablet", "--json")
	line = tablet.stdout.await(t, `"waiting"`)
	mustBePrintable(t, line)
	event := objects(t, line)[0]
	if event["device"] != "0000000000000bad" || event["scope"] != "group" || event["label"] != strings.ToValidUTF8(hostile[:20], "\ufffd") {
		t.Errorf("printed %v", event)
	}
	h.commit("last")
	if code := tablet.wait(); code != exitDone || tablet.stderr.String() != "" {
		t.Errorf("exit code %d: %s", code, tablet.stderr)
	}
	wantTexts(t, laptop, "holder's", "holder's, too", "phone's", "last", "tablet's")
	laptop.stop()
}

// TestTransactGivesUp when it has waited for as long as it was told to, or is interrupted.
func TestTransactGivesUp(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	laptop := s.listen("laptop", "--json")
	h := s.hold("phone", url, devicekeys.ScopeGroup)
	for wait, lines := range map[string]int{"0": 0, "1ms": 0, "1s": 1} { // said once, though asked again
		stdout, stderr, code := s.run("device", "transact", "--scope", "contact", "never", "--wait", wait, "--device", "phone")
		if code != exitFailed || stdout != "" || strings.Count(stderr, "waiting for the lock") != lines ||
			!strings.Contains(stderr, "was not begun: device 0000000000000bad holds the lock (scope group): try again") {
			t.Errorf("--wait %s: exit code %d: %s%s", wait, code, stdout, stderr)
		}
	}
	phone := s.start("device", "transact", "--scope", "contact", "never", "--wait", "1h", "--device", "phone")
	phone.stderr.await(t, "waiting for the lock")
	phone.signal(os.Interrupt)
	if code := phone.wait(); code != exitFailed || phone.stdout.String() != "" {
		t.Errorf("interrupted: exit code %d: %s", code, phone.stdout)
	}
	h.commit("holder's")
	s.must("device", "transact", "--scope", "contact", "at last", "--wait", "0", "--device", "phone")
	wantTexts(t, laptop, "holder's", "at last")
	laptop.stop()
}

// TestTransactThatEndsBadly: another device sees all of it or nothing, and the command knows which or says so.
func TestTransactThatEndsBadly(t *testing.T) {
	t.Parallel()
	cut := func([]byte) ([][]byte, error) { return nil, errors.New("cut") }
	drop := func([]byte) ([][]byte, error) { return nil, nil }
	for _, test := range []struct {
		name    string
		at      d2m.Type // the fault is here
		fault   func([]byte) ([][]byte, error)
		code    int
		want    []string
		happens bool
	}{
		{"cut under the lock", d2m.TypeReflectAck, cut, exitUnreachable, []string{"was aborted, nothing of it has happened: connection: lost"}, false},
		{"time runs out", d2m.TypeReflectAck, drop, exitFailed, []string{"was aborted, nothing of it has happened: ", "4011", "--ttl"}, false},
		{"cut at the commit", d2m.TypeCommitTransactionAck, cut, exitUnreachable, []string{"possibly committed, all of it or nothing"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newRelayServer(t, func(of session, frame []byte) ([][]byte, error) {
				if of == (session{device: 2, login: 1}) && d2m.Type(frame[0]) == test.at {
					return test.fault(frame)
				}
				return [][]byte{frame}, nil
			})
			url, _, err := server.start(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			s := newShell(t)
			s.newGroup(url, "phone", "laptop")
			laptop := s.listen("laptop", "--json")
			stdout, stderr, code := s.run("device", "transact", "--scope", "contact", "--ttl", "1s", "one", "two", "--device", "phone")
			if code != test.code || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s does not say %q", stderr, want)
				}
			}
			s.must("device", "reflect", "after", "--device", "phone")
			if test.happens {
				wantTexts(t, laptop, "one", "two", "after")
			} else {
				wantTexts(t, laptop, "after")
			}
			laptop.stop()
		})
	}
}

// TestTransactThatIsTooLarge, by a setting of the server.
func TestTransactThatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_MAX_TRANSACTION_BYTES=128KiB", "MEDIATOR_MAX_STAGED_BYTES=128KiB")
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	laptop := s.listen("laptop", "--json")
	large := strings.Repeat("x", maxTextSize)
	_, stderr, code := s.run("device", "transact", "--scope", "contact", large, large, large, "--device", "phone")
	if code != exitFailed || !strings.Contains(stderr, "nothing of it has happened; if it was too large, reflect less") || !strings.Contains(stderr, "4010") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	s.must("device", "transact", "--scope", "contact", "small", "--device", "phone")
	wantTexts(t, laptop, "small")
	laptop.stop()
}

// TestServerLimitsTTL by its setting, whatever a device asks for.
func TestServerLimitsTTL(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"), "--max-transaction-ttl", "1s")
	s.newGroup(url, "phone")
	s.must("device", "devices", "--device", "phone")
	h := s.hold("phone", url, devicekeys.ScopeGroup)
	s.must("device", "devices", "--device", "phone") // the lock keeps nobody from asking
	_, stderr, code := s.run("device", "transact", "--scope", "contact", "hello", "--device", "phone")
	if code != exitDone {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	close(h.texts)
	var closed *client.CloseError
	if err := <-h.ended; !errors.As(err, &closed) || closed.Code != d2m.CloseTransactionExpired {
		t.Errorf("got %v", err)
	}
}

// TestTransactOverSlowNetwork: the lock comes when it is not waited for any more, and is given back and taken again.
func TestTransactOverSlowNetwork(t *testing.T) {
	t.Parallel()
	var begins atomic.Int32
	server := newRelayServer(t, func(_ session, frame []byte) ([][]byte, error) {
		if d2m.Type(frame[0]) == d2m.TypeBeginTransactionAck && begins.Add(1) == 1 {
			<-time.After(2 * firstLook)
		}
		return [][]byte{frame}, nil
	})
	url, _, err := server.start(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	s.newGroup(url, "phone", "laptop")
	laptop := s.listen("laptop", "--json")
	s.must("device", "transact", "--scope", "contact", "one", "two", "--wait", "0", "--device", "phone")
	if n := begins.Load(); n < 2 {
		t.Errorf("the lock was taken %d times", n)
	}
	wantTexts(t, laptop, "one", "two")
	laptop.stop()
}

// TestTransactWithoutAnswers ends, and says what is known. On a busy machine the patience may end before the answer is due
// that does not come: then more of it is needed.
func TestTransactWithoutAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		at   d2m.Type // these are dropped
		want string
	}{
		{"to the begin", d2m.TypeBeginTransactionAck, "connection: lost: server has not answered in time"},
		{"to a reflect", d2m.TypeReflectAck, "nothing of it has happened"},
		{"to the commit", d2m.TypeCommitTransactionAck, "possibly committed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var reflected, due atomic.Bool
			server := newRelayServer(t, func(_ session, frame []byte) ([][]byte, error) {
				at := d2m.Type(frame[0])
				if at == test.at {
					// A lock that came too late is given back by a commit, of nothing.
					due.Store(at != d2m.TypeCommitTransactionAck || reflected.Load())
					return nil, nil
				}
				if at == d2m.TypeReflectAck {
					reflected.Store(true)
				}
				return [][]byte{frame}, nil
			})
			url, _, err := server.start(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			s := newShell(t)
			s.newGroup(url, "phone")
			file, err := openDeviceFile(s.path("phone"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.close()
			var out bytes.Buffer
			d := &deviceCommand{cmd: new(cobra.Command), file: file, out: &printer{out: &out}, url: url}
			for patience := time.Second; !due.Load() && patience < testTimeout; patience *= 2 {
				tx := &transact{deviceCommand: d, scope: devicekeys.ScopeGroup, wait: time.Hour, texts: []string{"x"}, patience: patience}
				err = tx.run(testContext(t))
			}
			if err == nil || !strings.Contains(describe(err), test.want) || exitCode(err) != exitUnreachable || out.Len() > 0 {
				t.Errorf("got %v, exit code %d, want %s; printed %q", err, exitCode(err), test.want, &out)
			}
		})
	}
}

func TestScopeNames(t *testing.T) {
	names := scopeNames()
	if got := strings.Join(names, " "); got != "user-profile contact group distribution-list settings mdm-parameter new-device drop-device work-sync-delta" {
		t.Errorf("got %s", got)
	}
	long := newDeviceTransactCommand().Long
	for i, name := range names {
		if scope, err := parseScope(name); err != nil || scope != devicekeys.Scope(i) {
			t.Errorf("%s: got %v, %v", name, scope, err)
		}
		if !strings.Contains(long, name) {
			t.Errorf("help lacks %s", name)
		}
	}
	for text, meant := range map[string]string{
		"Contact": "contact", "contacts": "contact", "cotnact": "contact", "user": "user-profile", "mdm": "mdm-parameter",
		"setings": "settings", "user profile": "user-profile", "grp": "group", "d": "distribution-list or drop-device",
	} {
		_, err := parseScope(text)
		if err == nil || !strings.HasSuffix(err.Error(), "; is "+meant+" meant?") || exitCode(err) != exitUsage {
			t.Errorf("%s: got %v", text, err)
		}
	}
	for _, text := range []string{"", "unknown", "255", "contact group"} {
		if _, err := parseScope(text); err == nil || !strings.HasSuffix(err.Error(), "drop-device, work-sync-delta") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"same", "same", 0}, {"kitten", "sitting", 3}, {"contact", "contct", 1}, {"ab", "ba", 2}} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
