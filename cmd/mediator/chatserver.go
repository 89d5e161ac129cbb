package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"openmediator/chatserver"
)

// chatSettings are the settings of "mediator chatserver".
type chatSettings struct {
	listen     string
	data       string // empty: below the user's state directory
	identities string // empty: none
	key        string // empty: in data
	http       string // empty: none
	httpPublic bool
	logLevel   zerolog.Level
}

func newChatServerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chatserver",
		Short: "Runs a small chat server, to try the mediator with",
		Long: `Runs a small chat server: it takes messages for the identities it knows, keeps each on disk until its receiver has
acknowledged it, and never sees what is in them. It is made for trying things out and for tests, not for the public.

It prints its public key on standard output, "public key: HEX"; clients need it to know that they talk to this server.
The secret key is in the file --key, made at the first start; whoever has that file can pretend to be this server.

Identities are 8 characters A–Z and 0–9, and each has a public key (X25519). The server gets to know them in two ways:

  --identities FILE   a line per identity, as in  ABCD1234 <64 hexadecimal digits>  with comments behind # on lines of
                      their own. The file is read again when it changes; one with a mistake in it is refused as a whole,
                      the log says which line, and what it held before stays in force. It is never written.
  --http HOST:PORT    identities register themselves. They are kept in --data; one that stands in the file too has the
                      key of the file. Only loopback addresses will do unless --http-public is given.

The HTTP interface, bodies and answers being JSON; an answer that is an error is {"error":"…"}:

  look up             GET /identities/ABCD1234
                      200 {"identity":"ABCD1234","publicKey":HEX}, or 404 if nobody has it
  register, first     POST /identities {"publicKey":HEX}
                      200 {"token":HEX,"challengePublicKey":HEX}, good for one minute and one attempt
  register, then      POST /identities {"publicKey":HEX,"token":HEX,"response":HEX,"identity":"ABCD1234"}
                      201 {"identity":"ABCD1234","publicKey":HEX}, or 409 if it is taken; without "identity" in the
                      request a random one is given

  The response proves that the caller holds the secret key: BLAKE2b-256 with key K, salt "registration" and personal
  "openmediator" of the 32 bytes of the token and the 32 of the public key, where K = HSalsa20(X25519(secret key,
  challengePublicKey)), which is NaCl's beforenm.

SIGINT or SIGTERM stops the server in an orderly way: clients are told, what was acknowledged is on disk. A second one
ends it at once; what was acknowledged is on disk all the same. The log goes to standard error.

Every flag can also be given as an environment variable: --listen is MEDIATOR_CHATSERVER_LISTEN. The flag wins.

` + exitCodes,
		Example: `  mediator chatserver
  mediator chatserver --listen 127.0.0.1:5222 --data ./chat --identities ./identities --key ./chat.key
  mediator chatserver --http 127.0.0.1:5280
  curl http://127.0.0.1:5280/identities/ABCD1234
  curl -H 'Content-Type: application/json' -d '{"publicKey":"<64 digits>"}' http://127.0.0.1:5280/identities
  mediator serve --upstream 127.0.0.1:5222     # a mediator in front of it`,
		Args: arguments(),
	}
	src := addSettings(cmd, os.LookupEnv, ofChatServer)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		return runChatServer(cmd.Context(), s.chat, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// runChatServer runs a chat server until ctx ends or a listener fails.
func runChatServer(ctx context.Context, s chatSettings, out, logTo io.Writer) error {
	log := newLog(logTo, s.logLevel)
	if unknown := unknownVariables(os.Environ()); len(unknown) > 0 {
		log.Warn().Strs("variables", unknown).Msg("environment variables look like settings and are none")
	}
	if err := s.resolve(); err != nil {
		return err
	}
	config := chatserver.DefaultConfig()
	config.DataDir, config.Log = s.data, log
	if s.identities != "" {
		file, err := chatserver.OpenIdentityFile(s.identities, log)
		if err != nil {
			return fmt.Errorf("%w; correct it, or name another one with --identities", err)
		}
		defer file.Close()
		config.Identities = file
	}
	var err error
	if config.Key, err = loadChatKey(s.key, log); err != nil {
		return err
	}
	return serveChat(ctx, s, config, out)
}

// serveChat opens the data directory and the listeners, prints the public key and serves.
func serveChat(ctx context.Context, s chatSettings, config chatserver.Config, out io.Writer) error {
	server, err := newChatServer(config)
	if err != nil {
		return err
	}
	listeners, err := s.openListeners()
	if err == nil {
		_, err = fmt.Fprintf(out, "public key: %x\n", config.Key.PublicKey().Bytes())
	}
	if err != nil {
		closeAll(listeners)
		return errors.Join(err, server.Close(context.Background()))
	}
	config.Log.Info().Str("version", version()).Str("data", s.data).Msg("chat server started")
	return serveUntil(ctx, chatServices(server, listeners), chatEnding(server), config.Log)
}

// newChatServer opens the data directory. The error is one sentence for the operator.
func newChatServer(config chatserver.Config) (*chatserver.Server, error) {
	server, err := chatserver.New(config)
	switch {
	case errors.Is(err, chatserver.ErrInUse):
		return nil, fmt.Errorf("%w: end that one, or name another directory with --data", err)
	case err != nil:
		return nil, fmt.Errorf("%w; name one with --data that this user may write to", err)
	}
	return server, nil
}

// chatServices are what a chat server listens on. The first listener is for chat connections, the second one, if there is
// one, for HTTP.
func chatServices(server *chatserver.Server, listeners []net.Listener) []service {
	services := []service{{listeners[0], server.Serve, "listening", listeners[0].Addr().String()}}
	for _, l := range listeners[1:] {
		services = append(services, service{l, server.ServeDirectory, "listening for HTTP", l.Addr().String()})
	}
	return services
}

// chatEnding is how a chat server is stopped. The error is one sentence for the operator.
func chatEnding(server *chatserver.Server) ending {
	stop := func(ctx context.Context) error {
		if err := server.Close(ctx); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		return nil
	}
	return ending{stop, func() time.Duration { return stopTimeout }}
}

// resolve fills in the paths that are not set and looks addresses up, before anything is touched on disk.
func (s *chatSettings) resolve() error {
	if s.data == "" {
		state, err := new(settings).dataDirectory()
		if err != nil {
			return err
		}
		s.data = filepath.Join(state, "chatserver")
	}
	if s.key == "" {
		s.key = filepath.Join(s.data, "server.key")
	}
	var err error
	if s.listen, err = resolveHostPort("listen", s.listen); err != nil {
		return err
	}
	if s.http == "" {
		return nil
	}
	if s.http, err = resolveHostPort("http", s.http); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(s.http); !net.ParseIP(host).IsLoopback() && !s.httpPublic {
		return usage("http: %s can be reached from other machines, and whoever reaches it may register: choose an address on "+
			"127.0.0.1, or add --http-public", s.http)
	}
	return nil
}

// resolveHostPort looks a host name up, so that what is judged is what is opened later.
func resolveHostPort(name, text string) (string, error) {
	if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
		return "", usage("%s: %q is not HOST:PORT", name, text)
	}
	tcp, err := lookUp(text)
	if err != nil {
		return "", usage("%s: %s cannot be resolved: %v", name, text, err)
	}
	return tcp.String(), nil
}

// openListeners returns the one for chat connections and, if there is to be one, that for HTTP.
func (s *chatSettings) openListeners() ([]net.Listener, error) {
	chat, err := openHostPort("listen", s.listen)
	if err != nil {
		return nil, err
	}
	if s.http == "" {
		return []net.Listener{chat}, nil
	}
	directory, err := openHostPort("http", s.http)
	if err != nil {
		chat.Close()
		return nil, err
	}
	return []net.Listener{chat, directory}, nil
}

func openHostPort(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use by another program: end that, or choose another port with --%s", name, address, name)
	case err != nil:
		return nil, fmt.Errorf("%s: %s cannot be opened: %w; choose another address with --%s", name, address, cause(err), name)
	}
	return l, nil
}
