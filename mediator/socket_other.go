//go:build !linux

package mediator

import (
	"net"
	"time"
)

// tuneSocket does nothing where the system has no such options.
func tuneSocket(net.Conn) {}

// silentFor knows nothing on this system; a dead leader is found by its pongs and by the write that gets stuck (B13).
func silentFor(net.Conn) time.Duration { return 0 }
