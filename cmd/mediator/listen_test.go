package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

func TestListen(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "while you were away", "--device", "phone")

	laptop := s.listen("laptop")
	phoneID, laptopID := formatDeviceID(s.device("phone").id), formatDeviceID(s.device("laptop").id)
	laptop.stdout.await(t, "connected as device "+laptopID+"; messages waiting: 1")
	laptop.stdout.await(t, "message from "+phoneID+": while you were away")
	laptop.stdout.await(t, "this device leads its group")
	laptop.stdout.await(t, `device `+phoneID+` away since`)

	phone := s.listen("phone", "--json")
	laptop.typeLine("typed")
	laptop.typeLine("")
	laptop.typeLine("typed, too")
	laptop.stdout.await(t, "reflected: typed")
	phone.stdout.await(t, `"typed, too"`)
	laptop.stdin.Close()
	s.stranger("phone", url, nil) // registers, so that the others have a peer with a hostile label
	phone.stop()
	laptop.stop()

	var texts []any
	for _, object := range objects(t, phone.stdout.String()) {
		if object["event"] == "message" {
			texts = append(texts, object["text"], object["from"])
		}
	}
	if got, want := fmt.Sprint(texts), fmt.Sprint([]any{"typed", laptopID, "typed, too", laptopID}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPeersCannotSteerTheTerminal, neither by a text nor by what they say of themselves.
func TestPeersCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "phone")
	s.must("device", "devices", "--device", "laptop")
	text := strings.ToValidUTF8(hostile, "?")
	stranger := s.stranger("phone", url, nil)
	for _, envelope := range []devicekeys.Envelope{{Text: text}, {Kind: devicekeys.KindContactSync, Content: []byte("\x1b[2J")}} {
		if _, err := stranger.Reflect(testContext(t), envelope); err != nil {
			t.Fatal(err)
		}
	}
	phone, laptop := s.listen("phone"), s.listen("laptop", "--json")
	for _, p := range []*process{phone, laptop} {
		p.stdout.await(t, "0000000000000bad")
		p.stdout.await(t, "contact sync")
		p.stdout.await(t, `\u202e`)
		p.stop()
		for line := range strings.Lines(p.stdout.String()) {
			mustBePrintable(t, strings.TrimSuffix(line, "\n"))
		}
	}
	phone.stdout.await(t, "message from 0000000000000bad: "+printable(text))
	for _, object := range objects(t, laptop.stdout.String()) {
		if object["event"] == "message" && object["kind"] == nil && object["text"] != text {
			t.Errorf("got %q, want %q", object["text"], text)
		}
	}
}

// TestListenKnowsWhatItHasPrinted: it is killed, and the server delivers the same envelope again.
func TestListenKnowsWhatItHasPrinted(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone")
	phone := s.listen("phone")
	keys := s.device("phone").keys
	other := login(t, url, keys, 0xbad)
	replayed, fresh := sealedText(t, keys, "once"), sealedText(t, keys, "afterwards")
	send := func(sealed []byte) {
		t.Helper()
		if err := other.Send(testContext(t), d2m.Reflect{Envelope: sealed}); err != nil {
			t.Fatal(err)
		}
		if _, err := receive[d2m.ReflectAck](t, other); err != nil {
			t.Fatal(err)
		}
	}
	send(replayed)
	phone.stdout.await(t, "once")
	send(replayed) // told from the first one as soon as that is stored
	send(sealedText(t, keys, "second"))
	phone.stdout.await(t, "second")
	phone.command.Process.Kill()
	phone.wait()

	send(replayed)
	send(fresh)
	again := s.listen("phone")
	again.stdout.await(t, "afterwards")
	if all := phone.stdout.String() + again.stdout.String(); strings.Count(all, "once") != 1 {
		t.Errorf("printed:\n%s", all)
	}
}

func sealedText(t *testing.T, keys *devicekeys.Keys, text string) []byte {
	t.Helper()
	plain, err := devicekeys.Envelope{Text: text}.Append(nil, zeroes{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := keys.SealEnvelope(strings.NewReader(fmt.Sprintf("%-24s", text)), plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// zeroes is a random source that is none.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestListenComesBack when the server does, with what was typed meanwhile.
func TestListenComesBack(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	server, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "laptop")
	phone := s.listen("phone", "--json")
	server.command.Process.Kill()
	server.wait()
	phone.stdout.await(t, `"disconnected"`)
	phone.typeLine("typed without a server")
	s.start("serve", "--listen", url, "--data", s.path("data")).listening()
	phone.stdout.await(t, `"reflected"`)
	phone.stop()
	laptop := s.listen("laptop")
	laptop.stdout.await(t, "typed without a server")
	laptop.stop()
}

// TestListenReflectsAgain what the server has stored and not acknowledged when the connection ends. The others see it once.
func TestListenReflectsAgain(t *testing.T) {
	t.Parallel()
	phoneAtFirst := session{device: 2, login: 1}
	server := newRelayServer(t, func(of session, frame []byte) ([][]byte, error) {
		if of == phoneAtFirst && d2m.Type(frame[0]) == d2m.TypeReflectAck {
			return nil, errors.New("cut")
		}
		return [][]byte{frame}, nil
	})
	url, _, err := server.start(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	s.newGroup(url, "phone", "laptop")
	laptop, phone := s.listen("laptop"), s.listen("phone")
	phone.typeLine("typed")
	phone.stdout.await(t, "disconnected")
	phone.stdout.await(t, "reflected: typed")
	phone.typeLine("later")
	laptop.stdout.await(t, "later")
	if out := laptop.stdout.String(); strings.Count(out, "typed") != 1 {
		t.Errorf("the other device printed:\n%s", out)
	}
	phone.stop()
	laptop.stop()
}

// TestListenSaysWhatItCannotReflect and goes on.
func TestListenSaysWhatItCannotReflect(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone")
	phone := s.listen("phone")
	phone.typeLine(strings.Repeat("x", maxTextSize+1))
	phone.typeLine("\xff")
	phone.typeLine("fine")
	phone.stdout.await(t, "at most")
	phone.stdout.await(t, "text: is not UTF-8")
	phone.stdout.await(t, "reflected: fine")
	phone.typeLine(strings.Repeat("x", maxLineSize+1))
	phone.stderr.await(t, "standard input: bufio.Scanner: token too long; no more lines are taken from it")
	phone.stop()
}

// TestOutputThatNobodyTakes ends a listen before it acknowledges.
func TestOutputThatNobodyTakes(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "kept", "--device", "phone")

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		full, err = os.Open(filepath.Join(s.home, "phone")) // not writable either
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	p := s.startTo(full, "device", "listen", "--device", "laptop")
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "standard output: ") {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
	laptop := s.listen("laptop")
	laptop.stdout.await(t, "kept")
	laptop.stop()
}
