package mosquitto

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"openmediator/bench/compare/process"
)

// Durability is how Mosquitto keeps what it acknowledges: lines of its configuration.
type Durability string

const (
	// Default is what the Debian package configures: all is written every 30 minutes, and when Mosquitto ends.
	Default Durability = "persistence true\n"

	// Changes is the most durable setting there is.
	Changes = Default + "autosave_on_changes true\nautosave_interval 1\n"
)

// configuration is what both have: no limit that would slow it down or let it drop messages, and no delay of small packets.
const configuration = `listener %s 127.0.0.1
allow_anonymous true
user root
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_type error
persistence_location %s/
%s`

// Program returns the path of mosquitto.
func Program() (string, error) { return process.Find("mosquitto", "mosquitto") }

// Start starts Mosquitto with an empty directory for its files.
func Start(ctx context.Context, dir string, d Durability) (*process.Server, string, error) {
	program, err := Program()
	if err != nil {
		return nil, "", err
	}
	address, err := process.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf(configuration, process.Port(address), dir, d)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	server, err := process.Start(ctx, address, program, "-c", file)
	return server, address, err
}
