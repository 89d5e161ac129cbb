package chatflow

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/chatproxy"
	"openmediator/chatserver"
	"openmediator/client"
	"openmediator/csp"
	"openmediator/devicekeys"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// How long is waited for what must happen, far longer than it takes.
const (
	patience        = 5 * time.Minute  // for all that a test does
	closingPatience = 30 * time.Second // for the end of a server
)

// user is somebody with devices.
type user struct {
	name     string
	identity csp.Identity
	key      *ecdh.PrivateKey
	group    *devicekeys.Keys
}

func newUser(t *testing.T, name, identity string, seed byte) *user {
	t.Helper()
	id, err := csp.ParseIdentity(identity)
	if err != nil {
		t.Fatal(err)
	}
	group, err := devicekeys.FromGroupKey([32]byte(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return &user{name: name, identity: id, key: newKey(t, seed), group: group}
}

func newKey(t *testing.T, seed byte) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// world is both servers, the tap between them, and who uses them.
type world struct {
	// fixed
	t                    *testing.T
	ctx                  context.Context
	alice, bob           *user
	serverKey            *ecdh.PrivateKey
	mediatorDir, chatDir string

	chat        *chatserver.Server
	chatServed  chan error
	tap         *tap
	store       *boltstore.Store
	mediator    *mediator.Server
	served      chan error
	fromDevices recording
	stopped     bool

	mu      sync.Mutex
	address string // of the mediator
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	w := &world{
		t: t, ctx: ctx, mediatorDir: t.TempDir(), chatDir: t.TempDir(),
		alice: newUser(t, "alice", "ALICE001", 1), bob: newUser(t, "bob", "BOB00002", 2), serverKey: newKey(t, 3),
	}
	w.startChat()
	store, err := boltstore.Open(w.mediatorDir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.store = store
	w.startMediator()
	t.Cleanup(w.stop)
	return w
}

func (w *world) users() []*user { return []*user{w.alice, w.bob} }

// publicKey is how devices look each other up.
func (w *world) publicKey(_ context.Context, identity csp.Identity) (*ecdh.PublicKey, error) {
	for _, u := range w.users() {
		if u.identity == identity {
			return u.key.PublicKey(), nil
		}
	}
	return nil, fmt.Errorf("directory: %w", client.ErrUnknownIdentity)
}

// startChat starts the chat server, and the tap in front of it.
func (w *world) startChat() {
	w.t.Helper()
	config := chatserver.DefaultConfig()
	config.Key, config.DataDir = w.serverKey, w.chatDir
	config.Identities = chatserver.FixedIdentities{
		w.alice.identity: w.alice.key.PublicKey(), w.bob.identity: w.bob.key.PublicKey(),
	}
	var err error
	if w.chat, err = chatserver.New(config); err != nil {
		w.t.Fatal(err)
	}
	listener := w.listen()
	w.chatServed = make(chan error, 1)
	go func() { w.chatServed <- w.chat.Serve(listener) }()
	if w.tap, err = startTap(listener.Addr().String(), w.serverKey, w.users()); err != nil {
		w.t.Fatal(err)
	}
}

// startMediator starts one over the store.
func (w *world) startMediator() {
	w.t.Helper()
	upstreams, err := chatproxy.ParseUpstreams([]string{w.tap.listener.Addr().String()}, chatproxy.DefaultPattern)
	if err != nil {
		w.t.Fatal(err)
	}
	config := mediator.DefaultConfig()
	config.Chat.Upstreams = upstreams
	if w.mediator, err = mediator.New(w.store, config); err != nil {
		w.t.Fatal(err)
	}
	listener := w.listen()
	w.served = make(chan error, 1)
	go func() { w.served <- w.mediator.Serve(listener) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.address = listener.Addr().String()
}

func (w *world) listen() net.Listener {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	return listener
}

// dial connects a device to the mediator, wherever that listens now.
func (w *world) dial(ctx context.Context) (*recorded, error) {
	w.mu.Lock()
	address := w.address
	w.mu.Unlock()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return w.fromDevices.wrap(conn.(*net.TCPConn)), nil
}

// stopMediator returns when nothing of the old connections is on its way any more: all that the mediator got is in its
// store or has reached the chat server, which has read it.
func (w *world) stopMediator() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), closingPatience)
	defer cancel()
	if err := w.mediator.Shutdown(ctx); err != nil {
		w.t.Errorf("mediator: %v", err)
	}
	if err := <-w.served; err != nil {
		w.t.Errorf("mediator: %v", err)
	}
	if err := w.tap.awaitIdle(ctx); err != nil {
		w.t.Error(err)
	}
}

// stop ends all servers, once. The devices must be gone.
func (w *world) stop() {
	if w.stopped {
		return
	}
	w.stopped = true
	w.stopMediator()
	w.tap.close()
	ctx, cancel := context.WithTimeout(context.Background(), closingPatience)
	defer cancel()
	if err := w.chat.Close(ctx); err != nil {
		w.t.Errorf("chat server: %v", err)
	}
	if err := <-w.chatServed; err != nil {
		w.t.Errorf("chat server: %v", err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Errorf("store: %v", err)
	}
}

// places returns all that the servers got and all that they have kept. They must have been stopped.
func (w *world) places() []place {
	w.t.Helper()
	fromDevices := w.fromDevices.all()
	for _, stream := range w.fromDevices.all() {
		fromDevices = append(fromDevices, unmask(stream))
	}
	return []place{
		{"what the mediator got", append(fromDevices, w.tap.toMediator.all()...)},
		{"what the chat server got", append(w.tap.readable.all(), w.tap.toServer.all()...)},
		{"the mediator's data directory", w.files(w.mediatorDir)},
		{"the chat server's data directory", w.files(w.chatDir)},
	}
}

// files returns what is in the files of a directory.
func (w *world) files(dir string) (files [][]byte) {
	w.t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, data)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

// waitingAtMediator returns how many messages wait for devices of a user. The servers must have been stopped.
func (w *world) waitingAtMediator(u *user) int {
	w.t.Helper()
	store, err := boltstore.Open(w.mediatorDir, boltstore.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	snapshot, err := store.Claim(u.group.GroupID())
	if err != nil {
		w.t.Fatal(err)
	}
	state, err := reflect.ParseState(snapshot.State)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(state.Slots) == 0 {
		w.t.Fatalf("%s has no device", u.name)
	}
	var queue reflect.Queue
	_, deferred := queue.Restore(state, snapshot.Messages)
	return queue.Len() + len(deferred)
}

// waitingAtChatServer returns how many messages wait there for anybody. The servers must have been stopped.
func (w *world) waitingAtChatServer() (waiting int) {
	w.t.Helper()
	db, err := bbolt.Open(filepath.Join(w.chatDir, "chatserver.db"), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		queue, index := tx.Bucket([]byte("queue")), tx.Bucket([]byte("waiting"))
		if queue == nil || index == nil {
			return fmt.Errorf("chatserver.db: has no queue")
		}
		waiting = queue.Stats().KeyN
		if n := index.Stats().KeyN; n != waiting {
			return fmt.Errorf("chatserver.db: queue has %d messages, its index %d", waiting, n)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return waiting
}
