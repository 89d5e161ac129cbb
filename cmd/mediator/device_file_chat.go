package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"openmediator/chatserver/directory"
	"openmediator/client"
	"openmediator/csp"
)

// chatContent is what a device file holds of a device that has an identity at a chat server. All devices of a group have
// the same but for the device id.
type chatContent struct {
	Identity  string `json:"identity"`   // 8 characters
	SecretKey string `json:"secret_key"` // of the identity, 64 hex digits
	DeviceID  string `json:"device_id"`  // at the chat server, 16 hex digits
	ServerKey string `json:"server_key"` // the chat server's public key, 64 hex digits
	Directory string `json:"directory"`  // URL of the HTTP interface that tells public keys
}

// chatIdentity is chatContent as it is used.
type chatIdentity struct {
	id        csp.Identity
	key       *ecdh.PrivateKey
	device    csp.DeviceID
	serverKey *ecdh.PublicKey
	directory string
}

var errNoIdentity = errors.New(`has no identity at a chat server; make a device of a new group with ` +
	`"mediator device new NEW --chat-register URL --chat-key HEX", and join it`)

// interpret checks the content.
func (c *chatContent) interpret() (i *chatIdentity, err error) {
	i = &chatIdentity{directory: c.Directory}
	if i.id, err = csp.ParseIdentity(c.Identity); err != nil {
		return nil, fmt.Errorf("chat identity %q is not 8 characters A–Z and 0–9", c.Identity)
	}
	secret, err := parseKey(c.SecretKey)
	if err != nil {
		return nil, fmt.Errorf("chat secret_key %w", err)
	}
	if i.key, err = ecdh.X25519().NewPrivateKey(secret[:]); err != nil {
		return nil, err
	}
	device, err := strconv.ParseUint(c.DeviceID, 16, 64)
	if err != nil || len(c.DeviceID) != deviceIDDigits {
		return nil, fmt.Errorf("chat device_id is not %d hex digits", deviceIDDigits)
	}
	i.device = csp.DeviceID(device)
	if i.serverKey, err = directory.ParsePublicKey(c.ServerKey); err != nil {
		return nil, fmt.Errorf("chat server_key: %w", err)
	}
	if err := checkDirectory(c.Directory); err != nil {
		return nil, fmt.Errorf("chat directory: %w", err)
	}
	return i, nil
}

// checkDirectory tells whether a text can be the URL of a chat server's HTTP interface.
func checkDirectory(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:5280", text)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q has more than a host and a path", text)
	}
	return nil
}

// registration is what it takes to get an identity from a chat server.
type registration struct {
	directory string
	serverKey string // the chat server's public key, hex
	wish      string // the identity asked for; empty: any
}

// check finds mistakes before the server is asked. joins tells that the device is to join a group.
func (r registration) check(cmd *cobra.Command, joins bool) error {
	given := cmd.Flags().Changed
	switch {
	case !given("chat-register") && (given("chat-key") || given("chat-identity")):
		return usageOf(cmd, "--chat-key and --chat-identity are for --chat-register")
	case !given("chat-register"):
		return nil
	case joins:
		return usageOf(cmd, "--chat-register and --join contradict each other: a device has the identity of its group")
	}
	if err := checkDirectory(r.directory); err != nil {
		return usage("chat-register: %v", err)
	}
	if _, err := directory.ParsePublicKey(r.serverKey); err != nil {
		return usage(`chat-key: it takes the chat server's public key, 64 hex digits, as "mediator chatserver" prints it`)
	}
	if r.wish == "" {
		return nil
	}
	_, err := parseIdentity("chat-identity", r.wish)
	return err
}

// register registers an identity with the key that the content has for one, or else a random one.
func (r registration) register(ctx context.Context, content *deviceContent) error {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if content.IdentityKey != "" {
		var secret [32]byte
		if secret, err = parseKey(content.IdentityKey); err == nil {
			key, err = ecdh.X25519().NewPrivateKey(secret[:])
		}
	}
	if err != nil {
		return err
	}
	var wish *csp.Identity
	if r.wish != "" {
		id, err := parseIdentity("chat-identity", r.wish)
		if err != nil {
			return err
		}
		wish = &id
	}
	id, err := directory.Register(ctx, r.directory, key, wish)
	if err != nil {
		return asDirectoryError(r.directory, err)
	}
	content.Chat = &chatContent{
		Identity:  id.String(),
		SecretKey: hex.EncodeToString(key.Bytes()),
		DeviceID:  formatDeviceID(newDeviceID()),
		ServerKey: r.serverKey,
		Directory: r.directory,
	}
	return nil
}

// parseIdentity reads the value of a flag.
func parseIdentity(flag, text string) (csp.Identity, error) {
	id, err := csp.ParseIdentity(text)
	if err != nil {
		return id, usage("%s: %q is not an identity: 8 characters A–Z and 0–9", flag, text)
	}
	return id, nil
}

// publicKey looks up another identity's key.
func (i *chatIdentity) publicKey(ctx context.Context, id csp.Identity) (*ecdh.PublicKey, error) {
	key, err := directory.PublicKey(ctx, i.directory, id)
	if errors.Is(err, directory.ErrUnknownIdentity) {
		return nil, client.ErrUnknownIdentity
	}
	return key, asDirectoryError(i.directory, err)
}

// directoryError tells that the chat server's HTTP interface does not answer, or that something else does.
type directoryError struct {
	url string
	err error
}

func (e *directoryError) Error() string {
	text := fmt.Sprintf("chat directory %s: %v", e.url, e.err)
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + ": is the chat server running, and with --http there?"
}

func (e *directoryError) Unwrap() error { return e.err }

// asDirectoryError gives all errors but refusals their type.
func asDirectoryError(url string, err error) error {
	var refused *directory.RefusedError
	if err == nil || errors.As(err, &refused) || errors.Is(err, context.Canceled) {
		return err
	}
	return &directoryError{url: url, err: err}
}

// chatConfig is what the device talks to the chat server with. It takes no messages.
func (f *deviceFile) chatConfig() *client.ChatConfig {
	return &client.ChatConfig{
		Identity:   f.chat.id,
		Key:        f.chat.key,
		ServerKey:  f.chat.serverKey,
		DeviceID:   f.chat.device,
		ClientInfo: "mediator;" + version(),
		PublicKey:  f.chat.publicKey,
		Nonces:     f,
	}
}
