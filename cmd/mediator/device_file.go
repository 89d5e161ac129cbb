package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/durable"
)

const (
	deviceFormat = 1

	// maxNonces is how many messages a device file remembers as handled. The file is written for each, so it stays small:
	// about 36 KiB. An honest server delivers again at most what it has given and not seen acknowledged.
	maxNonces = 1000
)

// deviceFile is the file of a device, locked for this process until close. It is a client.NonceStore. One goroutine
// uses it at a time.
type deviceFile struct {
	path    string // links resolved
	content deviceContent
	id      d2m.DeviceID
	keys    *devicekeys.Keys
	chat    *chatIdentity // nil if it has none
	nonces  *client.MemoryNonces
	lock    *os.File
}

// deviceContent is what stands in the file, as JSON. Exactly one of the two keys is there.
type deviceContent struct {
	Format      int          `json:"format"`
	Server      string       `json:"server"`
	CA          string       `json:"ca_file,omitempty"`      // with the authorities to trust; empty: the system's
	DeviceID    string       `json:"device_id"`              // 16 hex digits
	GroupKey    string       `json:"group_key,omitempty"`    // 64 hex digits
	IdentityKey string       `json:"identity_key,omitempty"` // 64 hex digits: the original scheme
	Chat        *chatContent `json:"chat,omitempty"`
	Registered  bool         `json:"registered"` // the server has a slot for the device
	Nonces      [][]byte     `json:"nonces"`     // of handled and of sent messages, 24 bytes each, oldest first
}

// createDeviceFile makes the file of a device that has never connected. It does not replace one.
func createDeviceFile(path string, content deviceContent) (f *deviceFile, err error) {
	content.Format = deviceFormat
	content.DeviceID = formatDeviceID(newDeviceID())
	content.Registered, content.Nonces = false, nil
	f = &deviceFile{path: path, content: content}
	if err := f.interpret(); err != nil {
		return nil, err
	}
	if f.lock, err = lockFile(f.lockPath()); err != nil {
		return nil, f.wrong(err)
	}
	defer f.close()
	if err := f.checkAbsent(); err != nil {
		return nil, err
	}
	return f, f.save()
}

// checkAbsent makes sure that no file is replaced.
func (f *deviceFile) checkAbsent() error {
	if _, err := os.Lstat(f.path); err == nil {
		return f.wrong(errors.New("is there already; choose another name, for its key may be the only one"))
	}
	return nil
}

// openDeviceFile reads a device file and keeps other processes off it.
func openDeviceFile(path string) (*deviceFile, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, usage("device file %s: %v; \"mediator device new FILE\" makes one", path, reason(err))
	}
	f := &deviceFile{path: resolved}
	if f.lock, err = lockFile(f.lockPath()); err != nil {
		return nil, f.wrong(err)
	}
	if err := f.read(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// readDeviceFile reads a device file that another process may have open.
func readDeviceFile(path string) (*deviceFile, error) {
	f := &deviceFile{path: path}
	return f, f.read()
}

func (f *deviceFile) lockPath() string { return f.path + ".lock" }

// close lets other processes use the file.
func (f *deviceFile) close() { f.lock.Close() }

func (f *deviceFile) read() error {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return f.wrong(err)
	}
	if err := json.Unmarshal(data, &f.content); err != nil {
		return f.wrong(errors.New(`is not a device file; "mediator device new" makes one`))
	}
	return f.interpret()
}

// interpret checks the content and derives the rest from it.
func (f *deviceFile) interpret() (err error) {
	c := &f.content
	if c.Format != deviceFormat {
		return f.wrong(fmt.Errorf("has format %d, this program knows %d", c.Format, deviceFormat))
	}
	if f.id, err = parseDeviceID(c.DeviceID); err != nil || len(c.DeviceID) != deviceIDDigits {
		return f.wrong(errors.New("device_id is not 16 hex digits"))
	}
	if f.keys, err = c.keys(); err != nil {
		return f.wrong(err)
	}
	if _, err := client.URL(c.Server, f.keys.GroupID(), client.DefaultServerGroup); err != nil {
		return f.wrong(fmt.Errorf("server: %q: %w", c.Server, err))
	}
	if c.Chat != nil {
		if f.chat, err = c.Chat.interpret(); err != nil {
			return f.wrong(err)
		}
	}
	f.nonces = client.NewMemoryNonces(maxNonces)
	for i, nonce := range c.Nonces {
		if len(nonce) != len([24]byte{}) {
			return f.wrong(fmt.Errorf("nonce %d has %d bytes, want 24", i, len(nonce)))
		}
		_ = f.nonces.Add([24]byte(nonce))
	}
	return nil
}

// keys derives the keys by the scheme whose key is there.
func (c *deviceContent) keys() (*devicekeys.Keys, error) {
	switch {
	case c.GroupKey != "" && c.IdentityKey != "":
		return nil, errors.New("has both a group_key and an identity_key")
	case c.IdentityKey != "":
		secret, err := parseKey(c.IdentityKey)
		if err != nil {
			return nil, fmt.Errorf("identity_key %w", err)
		}
		return devicekeys.FromIdentityKey(secret)
	}
	secret, err := parseKey(c.GroupKey)
	if err != nil {
		return nil, fmt.Errorf("group_key %w", err)
	}
	return devicekeys.FromGroupKey(secret)
}

// parseKey reads 32 bytes of hex. The error does not repeat them.
func parseKey(text string) (key [32]byte, err error) {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(key) {
		return key, errors.New("is not 64 hex digits")
	}
	return [32]byte(data), nil
}

// wrong is a usageError about the file.
func (f *deviceFile) wrong(err error) error {
	return usage("device file %s: %v", f.path, reason(err))
}

// reason strips the path that an error of the file system repeats.
func reason(err error) error {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return inPath.Err
	}
	return err
}

// Contains implements client.NonceStore.
func (f *deviceFile) Contains(nonce [24]byte) (bool, error) { return f.nonces.Contains(nonce) }

// Add implements client.NonceStore: the nonce is on disk when it returns.
func (f *deviceFile) Add(nonce [24]byte) error {
	_ = f.nonces.Add(nonce)
	return f.save()
}

// setRegistered notes durably whether the server has a slot for the device.
func (f *deviceFile) setRegistered(registered bool) error {
	f.content.Registered = registered
	return f.save()
}

// save replaces the file, durably and in one step.
func (f *deviceFile) save() error {
	f.content.Nonces = make([][]byte, 0, maxNonces)
	for _, nonce := range f.nonces.All() {
		f.content.Nonces = append(f.content.Nonces, nonce[:])
	}
	data, err := json.MarshalIndent(f.content, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Replace(f.path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("device file %s: cannot be written: %w", f.path, reason(err))
	}
	return nil
}

const deviceIDDigits = 16

// newDeviceID draws the id of a device.
func newDeviceID() d2m.DeviceID {
	var id [8]byte
	rand.Read(id[:])
	return d2m.DeviceID(binary.LittleEndian.Uint64(id[:]))
}

// formatDeviceID writes a device id as the command line does: 16 hex digits.
func formatDeviceID(id d2m.DeviceID) string { return fmt.Sprintf("%0*x", deviceIDDigits, uint64(id)) }

// parseDeviceID reads up to 16 hex digits.
func parseDeviceID(text string) (d2m.DeviceID, error) {
	id, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) > deviceIDDigits {
		return 0, fmt.Errorf("%q is not a device id: up to %d hex digits", text, deviceIDDigits)
	}
	return d2m.DeviceID(id), nil
}
