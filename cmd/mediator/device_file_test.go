package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newTestDeviceFile makes a device file and opens it.
func newTestDeviceFile(t *testing.T) *deviceFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "phone")
	if _, err := createDeviceFile(path, groupContent()); err != nil {
		t.Fatal(err)
	}
	return openTestDeviceFile(t, path)
}

func openTestDeviceFile(t *testing.T, path string) *deviceFile {
	t.Helper()
	f, err := openDeviceFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

func TestDeviceFileIsItsOwnersAlone(t *testing.T) {
	for _, umask := range []int{0, 0o777} {
		dir := t.TempDir()
		old := syscall.Umask(umask)
		f, err := createDeviceFile(filepath.Join(dir, "phone"), groupContent())
		if err == nil {
			err = f.save()
		}
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 2 {
			t.Fatalf("files: %v, %v; want the device file and its lock", files, err)
		}
		for _, file := range files {
			if info, err := file.Info(); err != nil || info.Mode() != 0o600 {
				t.Errorf("umask %o: %s has mode %v, %v", umask, file.Name(), info.Mode(), err)
			}
		}
	}
}

func TestDeviceFileIsReplacedAsAWhole(t *testing.T) {
	f := newTestDeviceFile(t)
	before, err := os.Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := f.setRegistered(true); err != nil {
		t.Fatal(err)
	}
	old, err := before.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(f.path); err != nil || os.SameFile(old, now) {
		t.Errorf("the file was written in place: %v", err)
	}
	var content deviceContent
	if err := json.NewDecoder(before).Decode(&content); err != nil || content.Registered {
		t.Errorf("the old file holds %+v, %v", content, err)
	}
	again, err := readDeviceFile(f.path)
	if err != nil || !again.content.Registered || again.id != f.id || again.keys.GroupID() != f.keys.GroupID() {
		t.Errorf("the new file holds %+v, %v", again.content, err)
	}
}

// TestDeviceFileThatCannotBeWritten: what is not stored is not taken for stored, and nothing is left lying about.
func TestDeviceFileThatCannotBeWritten(t *testing.T) {
	f := newTestDeviceFile(t)
	f.path = filepath.Join(filepath.Dir(f.path), "directory")
	if err := os.MkdirAll(filepath.Join(f.path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Add([24]byte{1}); err == nil || !strings.Contains(err.Error(), "device file "+f.path+": cannot be written") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), ".directory.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDeviceFileRemembersSoManyNonces(t *testing.T) {
	f := newTestDeviceFile(t)
	for i := range maxNonces {
		_ = f.nonces.Add([24]byte{byte(i), byte(i >> 8)})
	}
	if err := f.Add([24]byte{0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	f.close()
	f = openTestDeviceFile(t, f.path)
	for nonce, want := range map[[24]byte]bool{{0}: false, {1}: true, {0xff, 0xff}: true, {0xfe, 0xff}: false} {
		if known, err := f.Contains(nonce); err != nil || known != want {
			t.Errorf("nonce %x…: known %v, %v; want %v", nonce[:2], known, err, want)
		}
	}
	if len(f.content.Nonces) != maxNonces {
		t.Errorf("the file holds %d nonces, want %d", len(f.content.Nonces), maxNonces)
	}
}

func TestDeviceFileIsUsedByOneAtATime(t *testing.T) {
	f := newTestDeviceFile(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(f.path, link); err != nil {
		t.Fatal(err)
	}
	if err := f.setRegistered(true); err != nil { // a replaced file is locked still
		t.Fatal(err)
	}
	for _, path := range []string{f.path, link} {
		_, err := openDeviceFile(path)
		if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), `is in use by another "mediator device"`) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	f.close()
	linked := openTestDeviceFile(t, link)
	if err := linked.setRegistered(false); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link was replaced: %v, %v", info.Mode(), err)
	}
}

func TestWrongDeviceFiles(t *testing.T) {
	const good = `{"format": 1, "server": "ws://x", "device_id": "0000000000000001", "group_key": "` +
		`0000000000000000000000000000000000000000000000000000000000000000", "nonces": []}`
	for _, test := range []struct{ name, old, new, want string }{
		{"empty", good, "", "is not a device file"},
		{"another format", `"format": 1`, `"format": 2`, "has format 2, this program knows 1"},
		{"no format", `"format": 1, `, "", "has format 0, this program knows 1"},
		{"no device id", "0000000000000001", "", "device_id is not 16 hex digits"},
		{"short device id", "0000000000000001", "1", "device_id is not 16 hex digits"},
		{"odd device id", "0000000000000001", "000000000000000x", "device_id is not 16 hex digits"},
		{"no key", "group_key", "no_key", "group_key is not 64 hex digits"},
		{"short key", `"00000000`, `"`, "is not 16 hex digits"},
		{"odd key", "00000000000\"", "0000000000x\"", "group_key is not 64 hex digits"},
		{"two keys", `"nonces"`, `"identity_key": "00", "nonces"`, "has both a group_key and an identity_key"},
		{"server", "ws://x", "http://x", `server: "http://x": server URL: scheme is "http", want ws or wss`},
		{"chat identity", `"nonces"`, chatJSON("ABCD1234", "abcd1234"), `chat identity "abcd1234" is not 8 characters A–Z and 0–9`},
		{"chat secret key", `"nonces"`, chatJSON(`"secret_key": "0`, `"secret_key": "`), "chat secret_key is not 64 hex digits"},
		{"chat device id", `"nonces"`, chatJSON("0000000000000002", "2"), "chat device_id is not 16 hex digits"},
		{"chat server key", `"nonces"`, chatJSON(`"server_key": "0900`, `"server_key": "0000`), "chat server_key: "},
		{"chat directory", `"nonces"`, chatJSON("http://x", "x"), `chat directory: "x" is not a URL such as http://127.0.0.1:5280`},
		{"chat directory with query", `"nonces"`, chatJSON("http://x", "http://x?y"), `chat directory: "http://x?y" has more than a host and a path`},
		{"short nonce", "[]", `["AAAA"]`, "nonce 0 has 3 bytes, want 24"},
		{"type", `"nonces": []`, `"nonces": 7`, "is not a device file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "device")
			writeFile(t, path, good)
			if _, err := readDeviceFile(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, strings.Replace(good, test.old, test.new, 1))
			_, err := openDeviceFile(path)
			if err == nil || exitCode(err) != exitUsage || !strings.HasPrefix(err.Error(), "device file "+path+": ") ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want one that says %q", err, test.want)
			}
		})
	}
}

// chatJSON is an identity in front of the nonces, with one thing in it replaced.
func chatJSON(old, new string) string {
	good := `"chat": {"identity": "ABCD1234", "secret_key": "` + strings.Repeat("01", 32) + `", "device_id": "0000000000000002",
		"server_key": "09` + strings.Repeat("00", 31) + `", "directory": "http://x"}, "nonces"`
	return strings.Replace(good, old, new, 1)
}

func TestDeviceFileWithAnIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	content := groupContent()
	if err := json.Unmarshal([]byte("{"+chatJSON("", "")+": []}"), &content); err != nil {
		t.Fatal(err)
	}
	if _, err := createDeviceFile(path, content); err != nil {
		t.Fatal(err)
	}
	f := openTestDeviceFile(t, path)
	if err := f.setRegistered(true); err != nil {
		t.Fatal(err)
	}
	again, err := readDeviceFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again.chat.id.String() != "ABCD1234" || again.chat.device != 2 || again.chat.serverKey.Bytes()[0] != 9 || again.chat.directory != "http://x" {
		t.Errorf("the file holds %+v", again.chat)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	joined, err := joinedContent(path)
	if err != nil {
		t.Fatal(err)
	}
	if joined.Chat.DeviceID == again.content.Chat.DeviceID || joined.Chat.SecretKey != again.content.Chat.SecretKey {
		t.Errorf("a device that joins has %+v", joined.Chat)
	}
}
