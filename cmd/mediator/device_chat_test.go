package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"openmediator/csp"
)

// chatTown is a chat server, a mediator in front of it, and where they are.
type chatTown struct {
	*shell
	chat, mediator *process
	address        string // of the chat server
	directory      string // URL
	key            string // the chat server's public key
	url            string // of the mediator
}

func newChatTown(t *testing.T) *chatTown {
	t.Helper()
	s := newShell(t)
	town := &chatTown{shell: s}
	town.chat = s.start("chatserver", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", s.path("chatserver"))
	town.address = town.chat.listening()
	var line struct{ Listen string }
	if err := json.Unmarshal([]byte(town.chat.stderr.await(t, `"message":"listening for HTTP"`)), &line); err != nil {
		t.Fatal(err)
	}
	town.directory = "http://" + line.Listen
	town.key = strings.TrimPrefix(town.chat.stdout.await(t, "public key: "), "public key: ")
	town.mediator, town.url = s.serve("--data", s.path("mediator"), "--upstream", town.address)
	return town
}

// settle makes two devices of a user: NAME-1, which has registered, and NAME-2, which has joined it. It returns the
// identity.
func (c *chatTown) settle(name string) string {
	c.t.Helper()
	printed := strings.Fields(c.must("device", "new", name+"-1", "--server", c.url, "--chat-register", c.directory, "--chat-key", c.key))
	joined := strings.Fields(c.must("device", "new", name+"-2", "--join", name+"-1"))
	if len(printed) != 2 || len(joined) != 2 || joined[0] != printed[0] || joined[1] != printed[1] {
		c.t.Fatalf("printed %q and %q", printed, joined)
	}
	return printed[1]
}

func TestDeviceChat(t *testing.T) {
	t.Parallel()
	c := newChatTown(t)
	alice, bob := c.settle("alice"), c.settle("bob")
	bob1 := c.listen("bob-1")
	bob1.stdout.await(t, "logged in to the chat server as "+bob+"; messages waiting there: 0")
	bob1.stdout.await(t, "this device leads its group")
	bob2 := c.listen("bob-2", "--json")
	alice2 := c.listen("alice-2")
	for _, p := range []*process{bob2, alice2} {
		p.stdout.await(t, "logged")
	}

	text := strings.ReplaceAll(strings.ToValidUTF8(hostile, "?"), "\x00", "") // an argument cannot have that
	out := c.must("device", "chat", "--to", bob, text, "--device", "alice-1")
	if want := " sent to " + bob + ": " + printable(text) + "\n"; !strings.HasSuffix(out, want) {
		t.Errorf("printed %q, want …%q", out, want)
	}
	bob1ID, alice1ID := formatDeviceID(c.device("bob-1").id), formatDeviceID(c.device("alice-1").id)
	bob1.stdout.await(t, " chat from "+alice+": "+printable(text))
	alice2.stdout.await(t, " chat to "+bob+", sent by device "+alice1ID+": "+printable(text))
	reflected := objects(t, bob2.stdout.await(t, `"chat"`))[0]
	for name, want := range map[string]any{
		"from": alice, "to": bob, "text": text, "reflected": true, "outgoing": false, "device": bob1ID,
	} {
		if reflected[name] != want {
			t.Errorf("reflected: %s is %v, want %v", name, reflected[name], want)
		}
	}
	mustBePrintable(t, strings.TrimSpace(bob2.stdout.await(t, `"chat"`)))

	// The leader leaves; the other one gets what comes next, and answers.
	bob1.stop()
	if sent, got := c.device("alice-1").content.Nonces, c.device("bob-1").content.Nonces; len(sent) != 1 || len(got) != 1 || string(sent[0]) != string(got[0]) {
		t.Errorf("against replay, the sender remembers %x and the receiver %x", sent, got)
	}
	bob2.stdout.await(t, `"leader"`)
	sent := objects(t, c.must("device", "chat", "--to", bob, "again", "--device", "alice-1", "--json"))[0]
	got := objects(t, bob2.stdout.await(t, `"again"`))[0]
	if sent["event"] != "sent" || sent["to"] != bob || sent["text"] != "again" || sent["id"] != got["id"] || got["reflected"] != false {
		t.Errorf("sent %v, got %v", sent, got)
	}
	bob2.stop()
	c.must("device", "chat", "--to", alice, "here I am", "--device", "bob-2")
	alice2.stdout.await(t, " chat from "+bob+": here I am")
	alice2.stop()

	// What has been printed is not printed again; what came meanwhile is.
	bob1 = c.listen("bob-1")
	bob1.stdout.await(t, "chat to "+alice+", sent by device "+formatDeviceID(c.device("bob-2").id)+": here I am")
	bob1.stop()
	if again := bob1.stdout.String(); strings.Contains(again, printable(text)) || strings.Count(again, "again") != 1 {
		t.Errorf("printed again:\n%s", again)
	}
}

// TestChatWaitsForAListen: what arrives while all devices of the receiver are away.
func TestChatWaitsForAListen(t *testing.T) {
	t.Parallel()
	c := newChatTown(t)
	c.settle("alice")
	bob := c.settle("bob")
	c.must("device", "chat", "--to", bob, "first", "--device", "alice-1")
	c.must("device", "chat", "--to", bob, "second", "--device", "alice-2")
	p := c.listen("bob-2")
	p.stdout.await(t, "messages waiting there: 2")
	p.stdout.await(t, ": second")
	p.stop()
	if first, second := strings.Index(p.stdout.String(), ": first"), strings.Index(p.stdout.String(), ": second"); first < 0 || first > second {
		t.Errorf("got:\n%s", p.stdout)
	}
}

// mistake is a command that is to fail, with one line on standard error.
type mistake struct {
	code int
	want string
	args []string
}

func (s *shell) mustBeMistakes(mistakes []mistake) {
	s.t.Helper()
	for _, m := range mistakes {
		stdout, stderr, code := s.run(append([]string{"device"}, m.args...)...)
		if code != m.code || stdout != "" || !strings.Contains(stderr, m.want) || strings.Count(stderr, "\n") != 1 {
			s.t.Errorf("%.20q: exit code %d, want %d; standard output %.200q, standard error %.400q, want one that says %q",
				m.args, code, m.code, stdout, stderr, m.want)
		}
	}
}

func TestChatMistakes(t *testing.T) {
	t.Parallel()
	c := newChatTown(t)
	alice, bob := c.settle("alice"), c.settle("bob")
	c.must("device", "new", "mute", "--server", c.url)
	free := freeAddress(t)
	_, lonely := c.serve("--data", c.path("lonely"))
	_, astray := c.serve("--data", c.path("astray"), "--upstream", free)
	c.spoil("no-directory", func(content *chatContent) { content.Directory = "http://" + free })
	hangsUp := strings.Replace(listenAndHangUp(t), "ws", "http", 1)
	c.spoil("directory-hangs-up", func(content *chatContent) { content.Directory = hangsUp })
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<p>hello")) }))
	defer website.Close()
	c.spoil("directory-is-a-website", func(content *chatContent) { content.Directory = website.URL })
	c.spoil("lonely-1", func(*chatContent) {})
	c.spoil("astray-1", func(*chatContent) {})
	c.spoil("wrong-server-key", func(content *chatContent) { content.ServerKey = "09" + strings.Repeat("00", 31) })
	c.spoil("wrong-key", func(content *chatContent) { content.SecretKey = strings.Repeat("01", 32) })
	c.spoil("wrong-identity", func(content *chatContent) { content.Identity = "NOBODY00" })
	chat := func(device string, args ...string) []string {
		return append([]string{"chat", "--device", device}, args...)
	}
	c.mustBeMistakes([]mistake{
		{exitUsage, "chat: --to is missing", chat("alice-1", "hello")},
		{exitUsage, "chat: TEXT is missing", chat("alice-1", "--to", bob)},
		{exitUsage, `chat: "there" is one argument too many; quote a text`, chat("alice-1", "--to", bob, "hello", "there")},
		{exitUsage, `to: "bob" is not an identity: 8 characters A–Z and 0–9`, chat("alice-1", "--to", "bob", "hello")},
		{exitUsage, "to: " + alice + " is this device's own identity", chat("alice-1", "--to", alice, "hello")},
		{exitUsage, "text: is empty", chat("alice-1", "--to", bob, "")},
		{exitUsage, "text: is not UTF-8", chat("alice-1", "--to", bob, "\xff")},
		{exitUsage, "text: has 7813 bytes, at most 7812 go into one chat message", chat("alice-1", "--to", bob, strings.Repeat("x", csp.MaxBodySize+1))},
		{exitUsage, "mute: has no identity at a chat server; make a device of a new group", chat("mute", "--to", bob, "hello")},
		{exitFailed, "to: the chat server knows no identity NOBODY00; nothing was sent", chat("alice-1", "--to", "NOBODY00", "hello")},
		{exitFailed, "4001 (chat server could not be reached)", chat("lonely-1", "--to", bob, "hello", "--server", lonely)},
		{exitFailed, "is the chat server running, and does the mediator know where", chat("astray-1", "--to", bob, "hello", "--server", astray)},
		{exitUnreachable, "is it running, and is this its URL (--server)?", chat("alice-1", "--to", bob, "hello", "--server", "ws://"+free)},
		{exitUnreachable, "chat directory http://" + free + ": chat server: dial tcp", chat("no-directory", "--to", bob, "hello")},
		{exitUnreachable, "chat directory " + hangsUp + ": chat server: ", chat("directory-hangs-up", "--to", bob, "hello")},
		{exitUnreachable, "is this the HTTP interface of a chat server?\n", chat("directory-is-a-website", "--to", bob, "hello")},
		{exitFailed, "is the chat server's public key in the device file the one that it prints?", chat("wrong-server-key", "--to", bob, "hello")},
		{exitFailed, "4000 (chat server closed its connection)", chat("wrong-key", "--to", bob, "hello")},
		{exitFailed, "the chat server does not know this identity with this key", chat("wrong-identity", "--to", bob, "hello")},
	})

	// The longest text, and nothing of what failed above, arrives.
	long := strings.Repeat("x", csp.MaxBodySize)
	c.must("device", "chat", "--to", bob, long, "--device", "alice-1")
	p := c.listen("bob-1")
	p.stdout.await(t, ": "+long)
	p.stop()
	if strings.Contains(p.stdout.String(), "hello") {
		t.Errorf("got:\n%s", p.stdout)
	}

	listening := c.listen("alice-2")
	c.mustBeMistakes([]mistake{{exitUsage, "alice-2: is in use by another", chat("alice-2", "--to", bob, "hello")}})
	listening.stop()
	c.chat.stop()
	c.mustBeMistakes([]mistake{{exitUnreachable, "connection refused: is the chat server running, and with --http there?", chat("alice-1", "--to", bob, "hello")}})
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// spoil makes a device of a further user whose file has something wrong in it.
func (c *chatTown) spoil(name string, change func(*chatContent)) {
	c.t.Helper()
	c.must("device", "new", name, "--server", c.url, "--chat-register", c.directory, "--chat-key", c.key)
	betweenStarts(c.t, func() error {
		f, err := openDeviceFile(c.path(name))
		if err != nil {
			return err
		}
		defer f.close()
		change(f.content.Chat)
		return f.save()
	})
}

func TestChatRegistration(t *testing.T) {
	t.Parallel()
	c := newChatTown(t)
	created := objects(t, c.must("device", "new", "wish", "--json", "--chat-register", c.directory, "--chat-key", c.key, "--chat-identity", "WISHED42"))
	if len(created) != 1 || created[0]["identity"] != "WISHED42" {
		t.Errorf("printed %v", created)
	}
	if info, err := os.Stat(c.path("wish")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// The group's key and the identity's are the same one.
	key := strings.Repeat("12", 32)
	c.must("device", "new", "classic", "--identity-key", key, "--chat-register", c.directory, "--chat-key", c.key)
	if content := c.device("classic").content; content.IdentityKey != key || content.Chat.SecretKey != key {
		t.Errorf("the file holds %+v, %+v", content, content.Chat)
	}

	free := freeAddress(t)
	register := func(args ...string) []string { return append([]string{"new", "other", "--chat-key", c.key}, args...) }
	c.mustBeMistakes([]mistake{
		{exitUsage, "--chat-key and --chat-identity are for --chat-register", register()},
		{exitUsage, "--chat-key and --chat-identity are for --chat-register", []string{"new", "other", "--chat-identity", "ABCD1234"}},
		{exitUsage, `chat-register: "127.0.0.1:5280" is not a URL such as http://127.0.0.1:5280`, register("--chat-register", "127.0.0.1:5280")},
		{exitUsage, `chat-register: "" is not a URL`, register("--chat-register", "")},
		{exitUsage, `chat-register: "http://x?y" has more than a host and a path`, register("--chat-register", "http://x?y")},
		{exitUsage, "chat-key: it takes the chat server's public key, 64 hex digits", []string{"new", "other", "--chat-register", c.directory}},
		{exitUsage, "chat-key: it takes the chat server's public key", []string{"new", "other", "--chat-register", c.directory, "--chat-key", strings.Repeat("0", 64)}},
		{exitUsage, `chat-identity: "abc" is not an identity`, register("--chat-register", c.directory, "--chat-identity", "abc")},
		{exitUsage, "--chat-register and --join contradict each other", register("--chat-register", c.directory, "--join", "wish")},
		{exitFailed, "refused with HTTP status 409: the identity is taken", register("--chat-register", c.directory, "--chat-identity", "WISHED42")},
		{exitUnreachable, "chat directory http://" + free + ": chat server: dial tcp", register("--chat-register", "http://"+free)},
		{exitUsage, "wish: is there already", []string{"new", "wish", "--chat-register", c.directory, "--chat-key", c.key, "--chat-identity", "UNUSED00"}},
	})
	if _, err := os.Stat(c.path("other")); err == nil {
		t.Error("a device file was made by mistake")
	}
	c.must("device", "new", "unused", "--chat-register", c.directory, "--chat-key", c.key, "--chat-identity", "UNUSED00")
}
