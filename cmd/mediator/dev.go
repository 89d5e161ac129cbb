package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"openmediator/chatproxy"
	"openmediator/chatserver"
	"openmediator/mediator"
	"openmediator/reflect/boltstore"
)

func newDevCommand() *cobra.Command {
	var d dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Runs mediator and chat server together, with devices to try them with",
		Long: `Runs a mediator and a chat server behind it, in one process and for this machine alone, and makes the device files of two
users with two devices each. It prints what can be typed next, in another terminal, and runs until a signal ends it: then
the mediator stops, after it the chat server, and what was stored is removed, unless it is in a directory of your choice
(--data). There it is used again the next time.

There are no settings but these flags. The log goes to standard error and holds what is wrong, and nothing else.

` + exitCodes,
		Example: `  mediator dev
  mediator dev --data ./dev                # keeps what it has
  mediator dev --listen 127.0.0.1:0 --chat-listen 127.0.0.1:0 --chat-http 127.0.0.1:0   # at ports that are free`,
		Args: arguments(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&d.listen[mediatorPort], "listen", "127.0.0.1:8440", "`HOST:PORT` where devices connect to the mediator")
	cmd.Flags().StringVar(&d.listen[chatPort], "chat-listen", "127.0.0.1:5222", "`HOST:PORT` where the mediator connects to the chat server")
	cmd.Flags().StringVar(&d.listen[httpPort], "chat-http", "127.0.0.1:5280", "`HOST:PORT` where devices register identities and look up keys")
	cmd.Flags().StringVar(&d.data, "data", "", "`directory` of all that is stored, the device files included; made if it is not there, "+
		"and not removed (default a temporary one)")
	json := cmd.Flags().Bool("json", false, "print one JSON object when all is ready")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d.out = &printer{json: *json, out: cmd.OutOrStdout()}
		return d.run(cmd.Context(), cmd.ErrOrStderr())
	}
	return cmd
}

// Which of its listeners is for what.
const (
	mediatorPort = iota
	chatPort
	httpPort
)

// dev is a mediator and a chat server in one process.
type dev struct {
	listen [3]string // HOST:PORT, as set, later as opened
	data   string
	out    *printer
	log    zerolog.Logger

	temporary bool
	listeners []net.Listener
	store     *boltstore.Store
	mediator  *mediator.Server
	chat      *chatserver.Server
	serverKey string // the chat server's public key, hex
}

// devFlags are the names of the listeners' flags.
var devFlags = [3]string{"listen", "chat-listen", "chat-http"}

func (d *dev) run(ctx context.Context, logTo io.Writer) (err error) {
	d.log = newLog(logTo, zerolog.WarnLevel)
	if err := d.resolve(); err != nil {
		return err
	}
	if err := d.openListeners(); err != nil {
		return err
	}
	remove, err := d.makeDirectory()
	if err != nil {
		closeAll(d.listeners)
		return err
	}
	defer remove()
	if err := d.open(); err != nil {
		closeAll(d.listeners)
		return err
	}
	return errors.Join(d.serve(ctx), d.store.Close())
}

// resolve refuses addresses that other machines reach.
func (d *dev) resolve() (err error) {
	for i, name := range devFlags {
		address := &d.listen[i]
		if *address, err = resolveHostPort(name, *address); err != nil {
			return err
		}
		if host, _, _ := net.SplitHostPort(*address); !net.ParseIP(host).IsLoopback() {
			return usage("%s: %s can be reached from other machines, and dev is for this one alone: choose an address on 127.0.0.1",
				name, *address)
		}
	}
	return nil
}

func (d *dev) openListeners() error {
	for i, name := range devFlags {
		l, err := openHostPort(name, d.listen[i])
		if err != nil {
			closeAll(d.listeners)
			return err
		}
		d.listeners = append(d.listeners, l)
		d.listen[i] = l.Addr().String()
	}
	return nil
}

// makeDirectory makes the data directory and returns what removes it in the end.
func (d *dev) makeDirectory() (remove func(), err error) {
	if d.data != "" {
		if d.data, err = filepath.Abs(d.data); err == nil {
			err = os.MkdirAll(d.data, 0o700)
		}
		if err != nil {
			return nil, fmt.Errorf("data: %s cannot be made: %w; name another directory with --data", d.data, reason(err))
		}
		return func() {}, nil
	}
	d.temporary = true
	if d.data, err = os.MkdirTemp("", "mediator-dev-"); err != nil {
		return nil, fmt.Errorf("data: no temporary directory can be made: %w; name one with --data", reason(err))
	}
	return func() { os.RemoveAll(d.data) }, nil
}

// open makes both servers, which do not accept connections yet.
func (d *dev) open() (err error) {
	dir := filepath.Join(d.data, "chatserver")
	config := chatserver.DefaultConfig()
	config.DataDir, config.Log = dir, d.logOf("chat server")
	if config.Key, err = loadChatKey(filepath.Join(dir, "server.key"), config.Log); err != nil {
		return err
	}
	d.serverKey = fmt.Sprintf("%x", config.Key.PublicKey().Bytes())
	if d.chat, err = newChatServer(config); err != nil {
		return err
	}
	if err := d.openMediator(); err != nil {
		return errors.Join(err, d.chat.Close(context.Background()))
	}
	return nil
}

// logOf tells whose lines are whose.
func (d *dev) logOf(server string) zerolog.Logger { return d.log.With().Str("server", server).Logger() }

func (d *dev) openMediator() (err error) {
	config := mediator.DefaultConfig()
	config.Log = d.logOf("mediator")
	upstreams, err := chatproxy.ParseUpstreams([]string{d.listen[chatPort]}, chatproxy.DefaultPattern)
	if err != nil {
		return err
	}
	config.Chat.Upstreams = upstreams
	if d.store, err = openStore(filepath.Join(d.data, "mediator"), newSettings(), config.Log); err != nil {
		return err
	}
	if d.mediator, err = mediator.New(d.store, config); err != nil {
		return errors.Join(err, d.store.Close())
	}
	return nil
}

// serve runs both servers until ctx ends or one of them fails, and stops the mediator first.
func (d *dev) serve(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	forMediator, stopMediator := context.WithCancel(context.Background())
	defer stopMediator()
	forChat, stopChat := context.WithCancel(context.Background())
	defer stopChat()

	mediatorEnded, chatEnded := make(chan error, 1), make(chan error, 1)
	go func() {
		err := serveUntil(forMediator, mediatorServices(d.mediator, d.listeners[:chatPort], nil), mediatorEnding(d.mediator), d.logOf("mediator"))
		fail(err)
		mediatorEnded <- err
	}()
	go func() {
		err := serveUntil(forChat, chatServices(d.chat, d.listeners[chatPort:]), chatEnding(d.chat), d.logOf("chat server"))
		fail(err)
		chatEnded <- err
	}()
	err := d.prepare(ctx)
	switch {
	case err == nil:
		<-ctx.Done()
	case ctx.Err() != nil:
		err = nil // it was interrupted
	}
	stopMediator()
	err = errors.Join(err, <-mediatorEnded)
	stopChat()
	return errors.Join(err, <-chatEnded)
}
