package redis

import (
	"context"

	"openmediator/bench/compare/process"
)

// Durability is how Redis keeps what it acknowledges.
type Durability []string

var (
	// Always is the most durable setting: an answer leaves after the sync of the append-only file.
	Always = Durability{"--appendonly", "yes", "--appendfsync", "always"}

	// Default is Redis without any configuration: no file but snapshots, the first after a minute of such load.
	Default = Durability{}
)

// Program returns the path of redis-server.
func Program() (string, error) { return process.Find("redis-server", "redis-server") }

// Start starts Redis with an empty directory for its files.
func Start(ctx context.Context, dir string, d Durability) (*process.Server, string, error) {
	program, err := Program()
	if err != nil {
		return nil, "", err
	}
	address, err := process.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	command := append([]string{program, "--bind", "127.0.0.1", "--port", process.Port(address), "--dir", dir}, d...)
	server, err := process.Start(ctx, address, command...)
	return server, address, err
}
