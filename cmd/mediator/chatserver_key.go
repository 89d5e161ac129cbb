package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"openmediator/internal/durable"
)

// chatKeySize is that of the key file with its line end, bytes.
const chatKeySize = 65

// loadChatKey reads the chat server's secret key, or makes it if there is no such file. The error is one sentence for the
// operator and never holds what stands in the file.
func loadChatKey(path string, log zerolog.Logger) (*ecdh.PrivateKey, error) {
	key, err := readChatKey(path, log)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeChatKey(path)
	}
	if err != nil {
		var wrong *fs.PathError
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return nil, fmt.Errorf("key file %s: %w; name one with --key that this user may read, or that is not there yet", path, err)
	}
	return key, nil
}

func readChatKey(path string, log zerolog.Logger) (*ecdh.PrivateKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn().Str("key", path).Msg("key file can be read by others: take that right away (chmod 600)")
	}
	text, err := io.ReadAll(io.LimitReader(file, 2*chatKeySize))
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != 32 {
		return nil, errors.New("it does not hold 64 hexadecimal digits")
	}
	return ecdh.X25519().NewPrivateKey(raw)
}

// makeChatKey makes a key file, durably, in a directory that is made if it is not there.
func makeChatKey(path string) (*ecdh.PrivateKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := durable.MakeDirectory(dir); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(file, "%x\n", key.Bytes())
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		os.Remove(path) // half a key would be in the way
		return nil, err
	}
	return key, durable.SyncDirectory(dir)
}
