package chatserver_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"openmediator/chatserver"
)

func TestConfigIsValidated(t *testing.T) {
	p256, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*chatserver.Config){
		"":                          func(*chatserver.Config) {},
		"key":                       func(c *chatserver.Config) { c.Key = nil },
		"key: it is":                func(c *chatserver.Config) { c.Key = p256 },
		"data directory":            func(c *chatserver.Config) { c.DataDir = "" },
		"idle timeout":              func(c *chatserver.Config) { c.IdleTimeout = 29 * time.Second },
		"idle timeout: 10m1s":       func(c *chatserver.Config) { c.IdleTimeout = 601 * time.Second },
		"handshake timeout":         func(c *chatserver.Config) { c.HandshakeTimeout = 0 },
		"echo interval":             func(c *chatserver.Config) { c.EchoInterval = 2 * time.Hour },
		"stall timeout":             func(c *chatserver.Config) { c.StallTimeout = -1 },
		"close timeout":             func(c *chatserver.Config) { c.CloseTimeout = 0 },
		"unsent bytes":              func(c *chatserver.Config) { c.MaxUnsent = 8191 },
		"connections: 0":            func(c *chatserver.Config) { c.MaxConnections = 0 },
		"connections of an":         func(c *chatserver.Config) { c.MaxPerIdentity = 0 },
		"queue":                     func(c *chatserver.Config) { c.MaxQueue = -1 },
		"registered identities: 0 ": func(c *chatserver.Config) { c.MaxRegistered = 0 },
		"challenges":                func(c *chatserver.Config) { c.MaxChallenges = 0 },
	} {
		c := chatserver.DefaultConfig()
		c.Key, c.DataDir = newKey(t), "/nowhere"
		change(&c)
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := chatserver.New(chatserver.Config{}); err == nil {
		t.Error("a server without a configuration starts")
	}
}
