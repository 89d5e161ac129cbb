package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// startServer runs a mediator for an example and returns its URL.
func startServer() (url string, stop func()) {
	server, err := mediator.New(memstore.New(), mediator.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return "ws://" + l.Addr().String(), func() {
		server.Shutdown(context.Background())
		<-served
	}
}

// Two devices of one group: what one reflects the other receives.
func Example() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()

	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3}) // 32 random bytes in real life
	if err != nil {
		log.Fatal(err)
	}
	phone, err := client.Connect(ctx, client.Config{URL: url, Keys: keys, DeviceID: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer phone.Close()

	received := make(chan string)
	tablet, err := client.Connect(ctx, client.Config{
		URL: url, Keys: keys, DeviceID: 2,
		Receive: func(_ context.Context, message client.Message) error {
			received <- message.Envelope.Text
			return nil // handled: the server may forget it
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tablet.Close()

	if _, err := phone.Reflect(ctx, devicekeys.Envelope{Text: "hello"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("tablet received", <-received)
	// Output: tablet received hello
}

// A device that is to survive its process stores two things: whether it is
// registered, and the nonces of what it has handled.
func ExampleConfig() {
	url, stop := startServer()
	defer stop()
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}

	var file struct { // on disk in real life
		registered bool
		nonces     *client.MemoryNonces
	}
	file.nonces = client.NewMemoryNonces(client.DefaultNonces)

	for range 2 { // starts of the process
		device, err := client.Connect(context.Background(), client.Config{
			URL: url, Keys: keys, DeviceID: 1,
			Registered: file.registered,
			OnRegistered: func() error {
				file.registered = true
				return nil // stored, or an error
			},
			Nonces: file.nonces,
			OnConnected: func(info d2m.ServerInfo) {
				fmt.Printf("slot is %v, %d messages wait\n", info.SlotState, info.ReflectionQueueLength)
			},
		})
		if err != nil {
			log.Fatal(err)
		}
		device.Close()
	}
	// Output:
	// slot is NEW, 0 messages wait
	// slot is EXISTING, 0 messages wait
}

// The errors of Connect say who is to do something about them.
func ExampleConnect_errors() {
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	l.Close() // nobody listens there now

	_, err = client.Connect(context.Background(), client.Config{URL: "ws://" + l.Addr().String(), Keys: keys})
	var closed *client.CloseError
	var unreachable *client.UnreachableError
	switch {
	case errors.As(err, &closed):
		fmt.Println("the server refuses this device:", closed.Code)
	case errors.As(err, &unreachable):
		fmt.Println("the server cannot be reached")
	}
	// Output: the server cannot be reached
}

// Without an answer, a message may have been delivered or not. To reflect the same
// sealed envelope again is safe: who has it already discards it.
func ExampleDevice_ReflectSealed() {
	url, stop := startServer()
	defer stop()
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	device, err := client.Connect(context.Background(), client.Config{URL: url, Keys: keys, DeviceID: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	_, err = device.Reflect(ctx, devicekeys.Envelope{Text: "once"})
	var unknown *client.UnknownError
	for errors.As(err, &unknown) && device.Err() == nil {
		_, err = device.ReflectSealed(context.Background(), unknown.Sealed)
	}
	fmt.Println("reflected:", err == nil)
	// Output: reflected: true
}

// Submit does not wait for answers, so that many envelopes are on their way at once
// and yet in order.
func ExampleDevice_Submit() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	device, err := client.Connect(ctx, client.Config{URL: url, Keys: keys, DeviceID: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()

	var receipts []*client.Receipt
	for _, text := range []string{"one", "two", "three"} {
		receipt, err := device.Submit(ctx, devicekeys.Envelope{Text: text})
		if err != nil {
			log.Fatal(err)
		}
		receipts = append(receipts, receipt)
	}
	for i, receipt := range receipts {
		if _, err := receipt.Wait(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println("on disk:", i+1)
	}
	// Output:
	// on disk: 1
	// on disk: 2
	// on disk: 3
}

// Start is for a device that runs whether there is a network or not.
func ExampleStart() {
	url, stop := startServer()
	defer stop()
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	leads := make(chan struct{})
	device, err := client.Start(client.Config{
		URL: url, Keys: keys, DeviceID: 1,
		OnConnected: func(d2m.ServerInfo) { fmt.Println("connected") },
		OnQueueDry:  func() { fmt.Println("nothing waits any more") },
		OnLeader:    func() { close(leads) },
		OnDisconnected: func(err error, retry time.Duration) {
			fmt.Printf("%v; next attempt in %v\n", err, retry.Round(time.Second))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-leads:
		fmt.Println("leads the group")
	case <-device.Done():
		fmt.Println(device.Err()) // a close code after which it must not come back
	}
	device.Close()
	// Output:
	// connected
	// nothing waits any more
	// leads the group
}

// Wire is for those who want to send what no Device would.
func ExampleWire() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	address, err := client.URL(url, keys.GroupID(), client.DefaultServerGroup)
	if err != nil {
		log.Fatal(err)
	}
	wire, err := client.Dialer{}.Dial(ctx, address)
	if err != nil {
		log.Fatal(err)
	}
	defer wire.CloseNow()
	if _, err := wire.Login(ctx, keys, d2m.ClientHello{DeviceID: 1}); err != nil {
		log.Fatal(err)
	}
	if err := wire.SendFrame(ctx, []byte("no message")); err != nil {
		log.Fatal(err)
	}
	for err == nil {
		_, err = wire.Receive(ctx)
	}
	var closed *client.CloseError
	if errors.As(err, &closed) {
		fmt.Println("closed with", uint16(closed.Code))
	}
	// Output: closed with 4010
}
