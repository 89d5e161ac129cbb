package jetstream

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Version is that of the server.
const Version = server.VERSION

// startTimeout is how long the server may take until it is ready for connections.
const startTimeout = 20 * time.Second

// Serve runs the server until SIGTERM. always is its setting sync_interval: a sync before each acknowledgement, and not
// every two minutes.
func Serve(address, dir string, always bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		Host: host, Port: number, JetStream: true, StoreDir: dir, SyncAlways: always, NoSigs: true,
	})
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go s.Start()
	if !s.ReadyForConnections(startTimeout) {
		return errors.New("nats: is not ready for connections")
	}
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
