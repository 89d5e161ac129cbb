package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"openmediator/client"
	"openmediator/devicekeys"
)

// A contact is renamed, unless another device has done so in the meantime. The others
// see both envelopes or neither.
func ExampleDevice_Transaction() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()
	keys, err := devicekeys.FromGroupKey([32]byte{1, 2, 3})
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
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tablet.Close()

	renamed := false // by a message that Receive has handled
	err = phone.Transaction(ctx, devicekeys.ScopeContact,
		func(context.Context) error {
			if renamed {
				return errors.New("somebody was faster")
			}
			return nil
		},
		func(ctx context.Context, transaction *client.Transaction) error {
			for _, text := range []string{"new name", "new picture"} {
				if _, err := transaction.Submit(ctx, devicekeys.Envelope{Text: text}); err != nil {
					return err
				}
			}
			return nil
		})
	var precondition *client.PreconditionError
	var unknown *client.UnknownError
	switch {
	case err == nil:
		fmt.Println("all of it has happened")
	case errors.As(err, &precondition):
		fmt.Println("nothing is left to do")
	case errors.As(err, &unknown):
		fmt.Println("all of it has happened or nothing")
	default:
		fmt.Println("nothing has happened")
	}
	fmt.Println("tablet received", <-received)
	fmt.Println("tablet received", <-received)
	// Output:
	// all of it has happened
	// tablet received new name
	// tablet received new picture
}
