package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"openmediator/chatserver/directory"
	"openmediator/client"
)

// devUsers are whose devices there are, with the identities that they wish for.
var devUsers = []struct{ name, wish string }{{"alice", "ALICE001"}, {"bob", "BOB00001"}}

// devDevices are those of each user; the first one gets the identity, the others join it.
var devDevices = []string{"phone", "laptop"}

// prepare makes what is missing of the device files, gives each device its slot, so that messages wait for it, and prints
// what there is.
func (d *dev) prepare(ctx context.Context) error {
	ready := d.newReady()
	for _, user := range devUsers {
		for _, device := range devDevices {
			f, err := d.prepareDevice(ctx, user.name, device, user.wish)
			if err != nil {
				return err
			}
			ready.Devices = append(ready.Devices, newReadyDevice(user.name, f))
		}
	}
	return d.out.print(ready)
}

func (d *dev) path(user, device string) string {
	return filepath.Join(d.data, user+"-"+device+".device")
}

func (d *dev) prepareDevice(ctx context.Context, user, device, wish string) (*deviceFile, error) {
	path := d.path(user, device)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := d.makeDevice(ctx, path, user, device, wish); err != nil {
			return nil, err
		}
	}
	f, err := readDeviceFile(path)
	if err != nil {
		return nil, err
	}
	if f.chat == nil {
		return nil, f.wrong(errNoIdentity)
	}
	if d.fits(f) && f.content.Registered {
		return f, nil // it is not locked: a listen of before may go on with it
	}
	return f, d.adjust(ctx, path)
}

func (d *dev) makeDevice(ctx context.Context, path, user, device, wish string) (err error) {
	if device != devDevices[0] {
		content, err := joinedContent(d.path(user, devDevices[0]))
		if err != nil {
			return err
		}
		_, err = createDeviceFile(path, content)
		return err
	}
	chat := registration{directory: d.directory(), serverKey: d.serverKey, wish: wish}
	content := groupContent()
	content.Server = d.url()
	_, err = makeDeviceFile(ctx, path, content, chat)
	var refused *directory.RefusedError
	if errors.As(err, &refused) && refused.Status == http.StatusConflict {
		chat.wish = "" // of a file that is gone
		_, err = makeDeviceFile(ctx, path, content, chat)
	}
	return err
}

func (d *dev) url() string { return "ws://" + d.listen[mediatorPort] }

func (d *dev) directory() string { return "http://" + d.listen[httpPort] }

// fits tells whether a file of an earlier run leads to these servers.
func (d *dev) fits(f *deviceFile) bool {
	c := f.content
	return c.Server == d.url() && c.Chat.Directory == d.directory() && c.Chat.ServerKey == d.serverKey
}

// adjust makes a file lead to these servers, and connects once if the device has no slot.
func (d *dev) adjust(ctx context.Context, path string) error {
	f, err := openDeviceFile(path)
	if err != nil {
		return err
	}
	defer f.close()
	if !d.fits(f) {
		f.content.Server, f.content.Chat.Directory, f.content.Chat.ServerKey = d.url(), d.directory(), d.serverKey
		if err := f.save(); err != nil {
			return err
		}
	}
	if f.content.Registered {
		return nil
	}
	connected := func(context.Context, *client.Device) error { return nil }
	return (&deviceCommand{file: f, url: f.content.Server}).ask(ctx, connected)
}

// ready: both servers run, and the device files are there.
type ready struct {
	Event      string        `json:"event"`
	Server     string        `json:"server"`      // URL of the mediator
	ChatServer string        `json:"chat_server"` // HOST:PORT
	Directory  string        `json:"directory"`   // URL of the chat server's HTTP interface
	ServerKey  string        `json:"server_key"`  // the chat server's public key
	Data       string        `json:"data"`
	Temporary  bool          `json:"temporary"` // it is removed in the end
	Devices    []readyDevice `json:"devices"`
}

type readyDevice struct {
	User     string `json:"user"`
	Identity string `json:"identity"`
	File     string `json:"file"`
	Device   string `json:"device"`
}

func (d *dev) newReady() ready {
	return ready{
		Event: "ready", Server: d.url(), ChatServer: d.listen[chatPort], Directory: d.directory(),
		ServerKey: d.serverKey, Data: d.data, Temporary: d.temporary,
	}
}

func newReadyDevice(user string, f *deviceFile) readyDevice {
	return readyDevice{User: user, Identity: f.chat.id.String(), File: f.path, Device: formatDeviceID(f.id)}
}

// String tells what to type next.
func (e ready) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mediator     %s\n", e.Server)
	fmt.Fprintf(&b, "chat server  %s, public key %s\n", e.ChatServer, e.ServerKey)
	fmt.Fprintf(&b, "identities   %s\n", e.Directory)
	data := "stays"
	if e.Temporary {
		data = "is removed in the end"
	}
	fmt.Fprintf(&b, "data         %s, which %s\n\n", e.Data, data)

	alice, bob, bobToo := e.Devices[0], e.Devices[2], e.Devices[3]
	fmt.Fprintf(&b, "Alice is %s, Bob is %s, and each has a phone and a laptop. Bob listens, in a terminal for each device:\n\n",
		alice.Identity, bob.Identity)
	line := func(args ...string) { fmt.Fprintf(&b, "  %s\n", shellLine(append([]string{os.Args[0]}, args...))) }
	line("device", "listen", "--device", bob.File)
	line("device", "listen", "--device", bobToo.File)
	fmt.Fprintf(&b, "\nAlice writes to him, and changes what her own devices share:\n\n")
	line("device", "chat", "--to", bob.Identity, "hello", "--device", alice.File)
	line("device", "transact", "--scope", "contact", "renamed", "portrayed", "--device", alice.File)
	fmt.Fprintf(&b, "\nHer laptop has it all when it comes; and when Bob's leader is ended, his other device takes over:\n\n")
	line("device", "listen", "--device", e.Devices[1].File)
	b.WriteString("\nCtrl-C ends both servers.")
	return b.String()
}

// shellLine writes words so that a shell reads the same ones.
func shellLine(words []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,"
	var quoted []string
	for _, word := range words {
		if word == "" || strings.Trim(word, plain) != "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}
