package main

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// TestB41_DrainEndsTheServer: an operator who has it drained, and sends no signal, has it stopped all the same.
func TestB41_DrainEndsTheServer(t *testing.T) {
	t.Parallel()
	server, err := mediator.New(memstore.New(), mediator.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	l, log, ended := listenLoopback(t), newTranscript(), make(chan error, 1)
	go func() {
		ended <- serveUntil(t.Context(), mediatorServices(server, []net.Listener{l}, nil), mediatorEnding(server), zerolog.New(log))
	}()
	wire := login(t, "ws://"+l.Addr().String(), newTestKeys(t), 1)
	server.Drain()
	_, err = receive[d2m.ServerHello](t, wire)
	if closed := new(client.CloseError); !errors.As(err, &closed) || closed.Code != d2m.CloseGoingAway {
		t.Errorf("the device got %v, want a close with 1001", err)
	}
	if err := <-ended; err != nil || !strings.Contains(log.String(), `"message":"stopped"`) || strings.Contains(log.String(), "failed") {
		t.Errorf("%v; the log:\n%s", err, log)
	}
}

// A signal is obeyed as soon as signals are taken, and does not end the process.
func TestSignalsAreTakenAtOnce(t *testing.T) {
	signals := takeSignals()
	defer signal.Stop(signals)
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-signals
}
