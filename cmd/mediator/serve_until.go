package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// service is a listener and what serves it.
type service struct {
	net.Listener
	serve   func(net.Listener) error
	message string // of the log
	address string // for the log, as one gives it to the program
}

// ending is how what serves is stopped.
type ending struct {
	stop  func(context.Context) error // cuts off, when the context ends, who is still there, and returns the context's error
	limit func() time.Duration        // for it, asked when it comes to that
}

// serveUntil accepts connections until ctx ends, a listener fails or the services end of themselves, and then stops what
// serves in time. Stop's error is returned as well.
func serveUntil(ctx context.Context, services []service, end ending, log zerolog.Logger) error {
	ended := make(chan error, len(services))
	for _, s := range services {
		log.Info().Str("listen", s.address).Msg(s.message)
		go func() { ended <- s.serve(s.Listener) }()
	}
	notifySystemd(daemon.SdNotifyReady)
	var failure error
	running := len(services)
	select {
	case <-ctx.Done():
	case failure = <-ended:
		running--
	}
	if failure != nil {
		failure = fmt.Errorf("listen: %w", cause(failure))
		log.Error().Msg("stopping: a listener failed")
	} else {
		log.Info().Msg("stopping")
	}
	notifySystemd(daemon.SdNotifyStopping)
	stopped := end.inTime(log)
	for range running {
		<-ended
	}
	log.Info().Msg("stopped")
	return errors.Join(failure, stopped)
}

// inTime stops what serves.
func (e ending) inTime(log zerolog.Logger) error {
	limited, cancel := context.WithTimeout(context.Background(), e.limit())
	defer cancel()
	err := e.stop(limited)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn().Msg("connections were cut off that did not end in time")
		return nil
	}
	return err
}

// notifySystemd tells systemd how far the program is, if that has started it and wants to know (Type=notify). If it does not
// hear that, it says so itself.
func notifySystemd(state string) { daemon.SdNotify(false, state) }
