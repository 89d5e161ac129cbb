package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"openmediator/client"
	"openmediator/devicekeys"
)

// newGroup makes device files of one group for a server, as "device new" and its --join do.
func (s *shell) newGroup(url string, names ...string) {
	s.t.Helper()
	content := groupContent()
	content.Server = url
	for _, name := range names {
		betweenStarts(s.t, func() error {
			_, err := createDeviceFile(s.path(name), content)
			return err
		})
	}
}

// device reads a device file.
func (s *shell) device(name string) *deviceFile {
	s.t.Helper()
	f, err := readDeviceFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// listen starts a device and waits until it has got what was there.
func (s *shell) listen(name string, args ...string) *process {
	s.t.Helper()
	p := s.start(append([]string{"device", "listen", "--device", name}, args...)...)
	p.stdout.await(s.t, "dry")
	return p
}

// stranger is a device of the group of a device file that is not bound by what the command line does.
func (s *shell) stranger(name, url string, receive func(context.Context, client.Message) error) *client.Device {
	s.t.Helper()
	d, err := client.Connect(testContext(s.t), client.Config{
		URL: url, Keys: s.device(name).keys, DeviceID: 0xbad, Receive: receive, Info: devicekeys.DeviceInfo{Label: hostile[:20]},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Close)
	return d
}

func TestDeviceNew(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	group := strings.TrimSpace(s.must("device", "new", "phone"))
	phone := s.device("phone")
	if want := fmt.Sprintf("%x", phone.keys.GroupID()); group != want || len(group) != 64 {
		t.Errorf("printed %q, the group is %s", group, want)
	}
	if phone.content.Server != defaultServer || phone.content.Registered {
		t.Errorf("the file holds %+v", phone.content)
	}

	created := objects(t, s.must("device", "new", "laptop", "--join", "phone", "--server", "wss://example.org/x/", "--json"))
	laptop := s.device("laptop")
	if len(created) != 1 || created[0]["group"] != group || created[0]["device"] != formatDeviceID(laptop.id) {
		t.Errorf("printed %v", created)
	}
	if laptop.id == phone.id || laptop.keys.GroupID() != phone.keys.GroupID() || laptop.content.Server != "wss://example.org/x/" {
		t.Errorf("the file holds %+v", laptop.content)
	}
	s.must("device", "new", "tablet", "--join", "laptop")
	if tablet := s.device("tablet"); tablet.content.Server != "wss://example.org/x/" {
		t.Errorf("server %s", tablet.content.Server)
	}
	if other := strings.TrimSpace(s.must("device", "new", "other")); other == group {
		t.Error("a new group is the old one")
	}
	if _, stderr, code := s.run("device", "new", "phone"); code != exitUsage || !strings.Contains(stderr, "is there already") {
		t.Errorf("over an existing file: %d %s", code, stderr)
	}
	if again := s.device("phone"); again.keys.GroupID() != phone.keys.GroupID() {
		t.Error("the file was replaced")
	}
}

// TestDeviceNewByIdentityKey uses vectors of another implementation.
func TestDeviceNewByIdentityKey(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../devicekeys/testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		FromIdentity []struct {
			Key   string `json:"identity_private_key"`
			Group string `json:"device_group_id"`
		} `json:"from_identity"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors.FromIdentity) == 0 {
		t.Fatal(err)
	}
	s := newShell(t)
	vector := vectors.FromIdentity[0]
	if got := s.must("device", "new", "typed", "--identity-key", vector.Key); got != vector.Group+"\n" {
		t.Errorf("got %s, want %s", got, vector.Group)
	}
	p := s.start("device", "new", "piped", "--identity-key", "-")
	p.typeLine(vector.Key)
	if code := p.wait(); code != exitDone || p.stdout.String() != vector.Group+"\n" {
		t.Errorf("got %d, %s%s", code, p.stdout, p.stderr)
	}
	if got := s.must("device", "new", "joined", "--join", "piped"); got != vector.Group+"\n" {
		t.Errorf("got %s, want %s", got, vector.Group)
	}
}

// TestDeviceMistakes are those that exit with 2, none of which asks the server.
func TestDeviceMistakes(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("device", "new", "phone")
	writeFile(t, s.path("garbage"), "no device")
	long := strings.Repeat("x", maxTextSize+1)
	for _, test := range []struct {
		want string
		args []string
	}{
		{"reflect: --device is missing", []string{"reflect", "hello"}},
		{"device file nobody: no such file or directory", []string{"reflect", "hello", "--device", "nobody"}},
		{`garbage: is not a device file; "mediator device new" makes one`, []string{"devices", "--device", "garbage"}},
		{"reflect: TEXT is missing", []string{"reflect", "--device", "phone"}},
		{`reflect: "there" is one argument too many; quote a text with spaces in it`, []string{"reflect", "hello", "there", "--device", "phone"}},
		{"text: is empty", []string{"reflect", "", "--device", "phone"}},
		{"text: is not UTF-8", []string{"reflect", "\xff", "--device", "phone"}},
		{fmt.Sprintf("text: has %d bytes, at most %d go into one envelope", len(long), maxTextSize), []string{"reflect", long, "--device", "phone"}},
		{"drop: ID is missing", []string{"drop", "--device", "phone"}},
		{`ID: "phone" is not a device id: up to 16 hex digits`, []string{"drop", "phone", "--device", "phone"}},
		{`ID: "00112233445566778" is not a device id`, []string{"drop", "00112233445566778", "--device", "phone"}},
		{`server: "http://x": server URL: scheme is "http", want ws or wss`, []string{"devices", "--device", "phone", "--server", "http://x"}},
		{`device file other: server: "http://x"`, []string{"new", "other", "--server", "http://x"}},
		{"identity-key: is not 64 hex digits", []string{"new", "other", "--identity-key", "abc"}},
		{"identity-key: is not 64 hex digits", []string{"new", "other", "--identity-key", ""}},
		{"--identity-key and --join contradict each other", []string{"new", "other", "--identity-key", "abc", "--join", "phone"}},
		{"device file nobody: no such file or directory", []string{"new", "other", "--join", "nobody"}},
		{"device file nowhere/other", []string{"new", "nowhere/other"}},
		{`device: "lisen" is not a command; is listen meant?`, []string{"lisen"}},
		{"transact: TEXT is missing", []string{"transact", "--scope", "contact", "--device", "phone"}},
		{"transact: --scope is missing; there are user-profile, contact, group,", []string{"transact", "hello", "--device", "phone"}},
		{`work-sync-delta; is contact meant?`, []string{"transact", "--scope", "contct", "hello", "--device", "phone"}},
		{`scope: "everything" is not one of user-profile, contact, group,`, []string{"transact", "--scope", "everything", "hello", "--device", "phone"}},
		{"ttl: -1s is negative", []string{"transact", "--scope", "contact", "--ttl", "-1s", "hello", "--device", "phone"}},
		{"wait: -1s is negative", []string{"transact", "--scope", "contact", "--wait", "-1s", "hello", "--device", "phone"}},
		{`wait: "soon" is not a time such as 90s`, []string{"transact", "--scope", "contact", "--wait", "soon", "hello", "--device", "phone"}},
		{"text: is empty", []string{"transact", "--scope", "contact", "hello", "", "--device", "phone"}},
		{"text: is not UTF-8", []string{"transact", "--scope", "contact", "\xff", "--device", "phone"}},
		{"--ephemeral is not a flag", []string{"reflect", "--ephemeral"}},
		{`json: "perhaps" is neither true nor false`, []string{"devices", "--json=perhaps"}},
	} {
		stdout, stderr, code := s.run(append([]string{"device"}, test.args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit code %d, standard output %q, standard error %q, want one that says %q", code, stdout, stderr, test.want)
		}
	}
	if _, err := os.Stat(s.path("other")); err == nil {
		t.Error("a device file was made by mistake")
	}
}

// TestDeviceExitCodes are those of the server's answers.
func TestDeviceExitCodes(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"), "--max-slots", "2")
	website := httptest.NewServer(http.NotFoundHandler())
	defer website.Close()
	hangsUp := listenAndHangUp(t)
	s.newGroup(url, "phone", "laptop", "tablet")
	s.must("device", "devices", "--device", "phone")
	s.must("device", "devices", "--device", "laptop")

	expect := func(code int, want []string, args ...string) {
		t.Helper()
		stdout, stderr, got := s.run(append([]string{"device"}, args...)...)
		if got != code || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, want %d; standard output %q, standard error %q", args, got, code, stdout, stderr)
		}
		for _, text := range want {
			if !strings.Contains(stderr, text) {
				t.Errorf("%q: %s does not say %q", args, stderr, text)
			}
		}
	}
	expect(exitFailed, []string{"4111", "mediator device drop ID"}, "reflect", "hello", "--device", "tablet")
	expect(exitFailed, []string{"4111"}, "transact", "--scope", "contact", "hello", "--device", "tablet")
	expect(exitFailed, []string{"4111"}, "listen", "--device", "tablet")
	s.must("device", "drop", formatDeviceID(s.device("laptop").id), "--device", "phone")
	expect(exitFailed, []string{"4115", "--join"}, "devices", "--device", "laptop")
	expect(exitUnreachable, []string{"refused", "is it running", "--server"}, "devices", "--device", "phone", "--server", "ws://127.0.0.1:1")
	expect(exitUnreachable, []string{"refused"}, "transact", "--scope", "contact", "hello", "--device", "phone", "--server", "ws://127.0.0.1:1")
	expect(exitUnreachable, []string{"refused"}, "listen", "--device", "phone", "--server", "ws://127.0.0.1:1")
	expect(exitUnreachable, []string{"404", "is this the URL of a mediator?"}, "devices", "--device", "phone", "--server", "ws"+strings.TrimPrefix(website.URL, "http"))
	expect(exitUnreachable, []string{"cannot be reached"}, "devices", "--device", "phone", "--server", hangsUp)

	listening := s.listen("phone")
	expect(exitUsage, []string{"phone: is in use by another", "listen"}, "reflect", "hello", "--device", "phone")
	expect(exitUsage, []string{"phone: is in use by another", "listen"}, "transact", "--scope", "contact", "hello", "--device", "phone")
	listening.stop()
	s.must("device", "reflect", "hello", "--device", "phone")
}

// listenAndHangUp is a server that accepts connections and ends them, and returns its URL.
func listenAndHangUp(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return "ws://" + l.Addr().String()
}

func TestDevicesAndDrop(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	_, url := s.serve("--data", s.path("data"))
	s.newGroup(url, "phone", "laptop")
	laptop := s.listen("laptop")
	phoneID, laptopID := formatDeviceID(s.device("phone").id), formatDeviceID(s.device("laptop").id)

	out := s.must("device", "devices", "--device", "phone")
	for _, want := range []string{"device " + laptopID + " connected since ", `"laptop"`, "device " + phoneID + " connected since ", `"phone", this one`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s does not say %q", out, want)
		}
	}
	for _, object := range objects(t, s.must("device", "devices", "--device", "phone", "--json")) {
		own := object["device"] == phoneID
		if object["event"] != "device" || object["connected"] != true || object["own"] != own || object["policy"] != "persistent" {
			t.Errorf("got %v", object)
		}
	}

	if out := s.must("device", "drop", laptopID, "--device", "phone"); out != "dropped device "+laptopID+"\n" {
		t.Errorf("got %s", out)
	}
	if code := laptop.wait(); code != exitFailed || !strings.Contains(laptop.stderr.String(), "4113") {
		t.Errorf("the dropped device ends with %d: %s", code, laptop.stderr)
	}
	if out := objects(t, s.must("device", "drop", "1", "--device", "phone", "--json")); out[0]["device"] != "0000000000000001" {
		t.Errorf("a device without a slot: got %v", out)
	}

	// A device that has dropped itself is new when it comes back.
	s.must("device", "drop", phoneID, "--device", "phone")
	if s.device("phone").content.Registered {
		t.Error("the file says that the device has a slot")
	}
	again := s.listen("phone")
	again.stdout.await(t, "connected as device "+phoneID+", new in its group")
	again.stop()
}
