package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"openmediator/access"
	"openmediator/certificates"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// stopTimeout is how long devices have to answer the Close when the server stops, after the last one was told (B41).
const stopTimeout = 10 * time.Second

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Runs the server",
		Long: `Runs the server. It needs no configuration: it listens on 127.0.0.1, port 8440, and keeps its data under the user's
state directory.

Every flag can also be given as an environment variable, --max-slots as MEDIATOR_MAX_SLOTS, and as a line of a TOML file:
max-slots = 10. The flag wins over the variable, and that over the file. The file is --config, or
` + defaultConfigFile + ` if it is there; see mediator config.

SIGHUP reads the file again and changes the settings that can be changed, while all connections stay: all of them, or, if
anything is wrong with one, none. The log says what has changed, or why nothing has. Closing the terminal that the server
runs in ends it.

SIGINT or SIGTERM stops the server in an orderly way: no new connections, devices are told one after the other (close code
1001, --drain-time), what was acknowledged is on disk. It takes 15 seconds more than --drain-time at most, whatever devices
and the disk do. A second one ends it at once; what was acknowledged is on disk all the same.

The log goes to standard error: for people if that is a terminal, else one JSON object per line.

` + exitCodes,
		Example: `  mediator serve
  mediator serve --listen 127.0.0.1:9000 --data /var/lib/mediator
  mediator serve --listen unix:/run/mediator/socket
  mediator serve --listen wss://:443 --tls-cert fullchain.pem --tls-key privkey.pem
  mediator serve --listen wss://:443 --acme-domain mediator.example.net --acme-accept-terms
  mediator serve --listen wss://127.0.0.1:8443 --tls-dev        # to try TLS out
  mediator serve --listen ws://0.0.0.0:8440 --allow-plaintext   # only behind something that does TLS
  mediator serve --upstream g-{server_group}.example.net:5222
  mediator serve --upstream 4f=chat.example.net:5222 --upstream-proxy socks5h://127.0.0.1:9050
  MEDIATOR_DATA=/var/lib/mediator mediator serve --log-level warn
  mediator serve --max-slots 15 --max-queue-bytes 1GiB --max-group-bytes 4GiB`,
		Args: arguments(),
	}
	src := addSettings(cmd, os.LookupEnv, serverSettings...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		return serve(cmd.Context(), s, cmd.ErrOrStderr())
	}
	return cmd
}

// serve runs the server until ctx ends or a listener fails.
func serve(ctx context.Context, s *settings, logTo io.Writer) error {
	hangups := takeHangups(logTo)
	defer hangups.close()
	log := newLog(logTo, zerolog.TraceLevel)
	zerolog.SetGlobalLevel(s.logLevel) // which a reload can change, for each logger there is
	if unknown := unknownVariables(os.Environ()); len(unknown) > 0 {
		log.Warn().Strs("variables", unknown).Msg("environment variables look like settings and are none")
	}
	if err := s.resolveAddresses(); err != nil {
		return err
	}
	dir, err := s.dataDirectory()
	if err != nil {
		return err
	}
	store, err := openStore(dir, s, log)
	if err != nil {
		return err
	}
	return serveFrom(ctx, s, store, dir, log, hangups)
}

// serveFrom runs the server on a store, which it closes, until ctx ends or a listener fails. data is the directory of the
// store, empty if it has none; hangups may be nil. A store that hangs is not closed: that would hang as well.
func serveFrom(ctx context.Context, s *settings, store reflect.Store, data string, log zerolog.Logger, hangups *hangups) (err error) {
	defer func() {
		if !errors.Is(err, mediator.ErrStoreHangs) {
			err = errors.Join(err, store.Close())
		}
	}()
	source, err := s.tls.open(data, s.listen, log)
	if err != nil {
		return err
	}
	listeners, err := s.openListeners()
	if err != nil {
		return err
	}
	s.server.Log = log
	if err := s.fit(); err != nil {
		closeAll(listeners)
		return err
	}
	who, err := s.openAccess(data, log)
	if err != nil {
		closeAll(listeners)
		return err
	}
	server, err := mediator.New(store, s.server)
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer who.Watch(server.RefuseDenied)()
	current := new(atomic.Pointer[settings])
	current.Store(s)
	private, err := servePrivate(&operation{data, current, server, who, store, source})
	if err != nil {
		closeAll(listeners)
		return errors.Join(err, server.Shutdown(ctx))
	}
	defer private.close()
	s.logStart(data)
	ctx, end := context.WithCancel(ctx)
	defer end()
	if source != nil {
		defer keepFresh(source)()
	}
	if hangups != nil {
		defer hangups.obey(&reloader{s, current, server, source, log}, end)()
	}
	return serveUntil(ctx, mediatorServices(server, listeners, source), mediatorEnding(server), log)
}

// logStart says what has been started.
func (s *settings) logStart(data string) {
	log := s.server.Log
	log.Info().Str("version", version()).Str("data", data).Msg("mediator started")
	if s.file != "" {
		log.Info().Str("file", s.file).Msg("configuration read")
	}
	if s.server.Chat.Upstreams.Empty() {
		log.Info().Msg("no chat server is configured: devices that ask for one are closed; name one with --upstream")
	}
}

// mediatorEnding is how a mediator is stopped.
func mediatorEnding(server *mediator.Server) ending {
	return ending{server.Shutdown, func() time.Duration { return server.DrainTime() + stopTimeout }}
}

// mediatorServices are what a mediator listens on. What does TLS has its certificates from the source.
func mediatorServices(server *mediator.Server, listeners []net.Listener, source certificates.Source) (services []service) {
	secure := func(l net.Listener) error { return server.ServeTLS(l, source.Config()) }
	for _, l := range listeners {
		serve := server.Serve
		if opened(l).secure {
			serve = secure
		}
		services = append(services, service{l, serve, "listening", opened(l).String()})
	}
	return services
}

// dataDirectory is where the data is: as set, else below the user's state directory.
func (s *settings) dataDirectory() (string, error) {
	if s.data != "" {
		return s.data, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "mediator"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("data: there is neither XDG_STATE_HOME nor a home directory; name a directory with --data")
	}
	return filepath.Join(home, ".local", "state", "mediator"), nil
}

// dataDirectory reads the settings of a command that needs to know nothing but where the data is.
func (src *sources) dataDirectory() (string, error) {
	s, err := src.load()
	if err != nil {
		return "", err
	}
	return s.dataDirectory()
}

// openAccess reads who may use the server. A server that is open to all does not ask.
func (s *settings) openAccess(dir string, log zerolog.Logger) (*access.Access, error) {
	who, err := access.New(access.Options{
		Mode: s.access, List: s.accessList, Invitations: invitationsIn(dir), Log: log,
	})
	if err == nil && (s.access != access.Open || s.accessList != "") {
		s.server.Access = who
	}
	return who, err
}

// invitationsIn is the directory of the invitations.
func invitationsIn(dir string) string { return filepath.Join(dir, "invitations") }

// openStore opens the data directory. The error is one sentence for the operator.
func openStore(dir string, s *settings, log zerolog.Logger) (*boltstore.Store, error) {
	store, err := boltstore.Open(dir, boltstore.Options{
		MaxBytes:     s.storeBytes,
		CompactEvery: s.compactEvery,
		OnCompacted: func(r boltstore.CompactResult, err error) {
			if err != nil {
				log.Warn().Str("cause", cause(err).Error()).Msg("storage could not be compacted: it is tried again")
				return
			}
			log.Info().Int64("before", r.Before).Int64("after", r.After).Dur("waited", r.Waited).Msg("storage compacted")
		},
		OnRecovered: func() {
			log.Warn().Msg("storage failed before: its file was replaced by a sound copy of what was stored")
		},
	})
	if err != nil {
		return nil, notOpened(err)
	}
	return store, nil
}

// notOpened adds the way out to what boltstore says of a directory.
func notOpened(err error) error {
	switch {
	case errors.Is(err, boltstore.ErrInUse):
		return fmt.Errorf("%w: end that one, or name another directory with --data", err)
	case errors.Is(err, boltstore.ErrNewer), errors.Is(err, boltstore.ErrForeign), errors.Is(err, boltstore.ErrUnfinished):
		return err // which says it
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; make room there that can be written to, or name a directory on another disk with --data", err)
	}
	return fmt.Errorf("%w; name one with --data that this user may write to", err)
}

// resolveAddresses is done before anything is touched on disk.
func (s *settings) resolveAddresses() error {
	for i, a := range s.listen {
		resolved, err := a.resolve(s.allowPlaintext)
		if err != nil {
			return err
		}
		s.listen[i] = resolved
	}
	var err error
	s.admin, err = s.admin.resolve(s.adminPlaintext)
	return err
}
