package main

import (
	"fmt"

	"github.com/rs/zerolog"

	"openmediator/mediator"
)

const (
	// otherDescriptors is how many open files are not connections of devices: those of the private side on both of its
	// listeners, 32 each, and the store's with a compaction, listeners, the log.
	otherDescriptors = 64 + 32

	// leastDescriptors is with how many open files a server does not start.
	leastDescriptors = otherDescriptors + 32

	// strangersShare is one part in so many of what is left, at most, for those whose request is awaited.
	strangersShare = 8
)

// fitDescriptors lowers the limits of connections to what a process can have that may open so many files. Beyond that devices
// would take from the store and the operator what these need, and from each other the chat server. It reports whether anything
// is lower.
func fitDescriptors(c mediator.Config, limit uint64) (fitting mediator.Config, lower bool, err error) {
	each := uint64(1)
	if !c.Chat.Upstreams.Empty() {
		each = 2
	}
	strangers := uint64(c.MaxUnauthenticated)
	if strangers == 0 {
		strangers = uint64(c.MaxConnections)/4 + 16
	}
	wanted := otherDescriptors + each*uint64(c.MaxConnections) + strangers
	if wanted <= limit {
		return c, false, nil
	}
	if limit < leastDescriptors {
		return c, false, fmt.Errorf("open files: this process may have %d, and needs %d at least, %d for max-connections; raise its "+
			"limit (LimitNOFILE= of systemd, ulimit -n of a shell)", limit, leastDescriptors, wanted)
	}
	room := limit - otherDescriptors
	strangers = min(strangers, room/strangersShare)
	c.MaxUnauthenticated = int(strangers)
	c.MaxConnections = int(min(uint64(c.MaxConnections), (room-strangers)/each))
	return c, true, nil
}

// fit lowers the limits of connections to what this process can have, and says so in the log: as a warning if somebody has set
// another one.
func (s *settings) fit() error {
	limit := openFiles()
	fitting, lower, err := fitDescriptors(s.server, limit)
	if lower {
		level := zerolog.InfoLevel
		if s.server.MaxConnections != mediator.DefaultConfig().MaxConnections {
			level = zerolog.WarnLevel
		}
		s.server.Log.WithLevel(level).Uint64("open_files", limit).Int("set", s.server.MaxConnections).Int("connections", fitting.MaxConnections).
			Msg("max-connections is lowered to what the limit of open files allows: raise that limit, or lower max-connections")
	}
	s.server = fitting
	return err
}
