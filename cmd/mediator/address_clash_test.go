package main

import (
	"strings"
	"testing"
)

// TestClashingAddresses: of two addresses that cannot both be listened on, the settings are refused; what is not certain is left
// to the start.
func TestClashingAddresses(t *testing.T) {
	for _, row := range []struct {
		listen, other string
		clash         bool
	}{
		{"127.0.0.1:8440", "127.0.0.1:8440", true},
		{"127.0.0.1:8440", "127.0.0.1:08440", true},
		{"127.0.0.1:80", "127.0.0.1:http", true},
		{"localhost:8440", "LOCALHOST:8440", true},
		{"127.0.0.1:8440", "[::ffff:127.0.0.1]:8440", true},
		{"[::1]:8440", "[0:0:0:0:0:0:0:1]:8440", true},
		{"0.0.0.0:8440", "127.0.0.1:8440", true},
		{"127.0.0.1:8440", "[::]:8440", true},
		{":8440", "localhost:8440", true},
		{"0.0.0.0:8440", ":8440", true},
		{"unix:/run/mediator/socket", "unix:/run/mediator/../mediator/socket", true},
		{"127.0.0.1:8440", "127.0.0.1:8441", false},
		{"127.0.0.1:8440", "127.0.0.2:8440", false},
		{"127.0.0.1:8440", "[::1]:8440", false},
		{"127.0.0.1:8440", "localhost:8440", false}, // nothing is looked up
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{":0", "127.0.0.1:0", false},
		{"unix:/run/mediator/socket", "unix:/run/mediator/private", false},
		{"unix:localhost:8440", "localhost:8440", false},
		{"systemd:public", "127.0.0.1:8440", false},
	} {
		for _, settings := range [][]string{
			{"--listen", row.listen, "--listen", row.other}, {"--listen", row.listen, "--admin-listen", row.other},
		} {
			settings = append(settings, "--allow-plaintext", "--admin-allow-plaintext")
			_, err := loadedFrom(t, "", settings...)
			if (err != nil) != row.clash {
				t.Errorf("%q: %v", settings, err)
			}
			if err != nil && (exitCode(err) != exitUsage || !strings.Contains(err.Error(), "listen: ")) {
				t.Errorf("%q: %v", settings, err)
			}
		}
	}
}
