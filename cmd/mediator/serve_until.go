package main

import (
	"context"
	"errors"
	"fmt"
	"net"

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

// serveUntil accepts connections until ctx ends or a listener fails, and then stops the server in time. Stop's error is
// returned as well.
func serveUntil(ctx context.Context, services []service, stop func(context.Context) error, log zerolog.Logger) error {
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
		log.Info().Msg("stopping")
	case failure = <-ended:
		running--
		failure = fmt.Errorf("listen: %w", cause(failure))
		log.Error().Msg("stopping: a listener failed")
	}
	notifySystemd(daemon.SdNotifyStopping)
	limited, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	stopped := stop(limited)
	if limited.Err() != nil {
		log.Warn().Msg("connections were cut off that did not end in time")
		stopped = nil
	}
	for range running {
		<-ended
	}
	log.Info().Msg("stopped")
	return errors.Join(failure, stopped)
}

// notifySystemd tells systemd how far the program is, if that has started it and wants to know (Type=notify). If it does not
// hear that, it says so itself.
func notifySystemd(state string) { daemon.SdNotify(false, state) }
