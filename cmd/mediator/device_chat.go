package main

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/csp"
)

func newDeviceChatCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chat --to ID TEXT",
		Short: "Sends a text to another user, through the mediator and the chat server",
		Long: `Sends a text to the user with the identity ID, and returns when the chat server has it on disk. The mediator passes it
on, so the chat server sees it come from the mediator's address, not from this one; but the receiver's public key is looked
up over HTTP, without the mediator. The text is encrypted for the receiver. The other devices of this group get it reflected
before it leaves.

The device file must have an identity: "mediator device new --chat-register" gets one, "mediator dev" prepares four such
files. While a listen runs with the same device file this command refuses.

After exit code 0 the chat server has the message, after 2 it has not been sent. Neither has it after 1 or 3, unless the
error says that this is not known.

` + exitCodes,
		Example: `  mediator device chat --to ABCD1234 hello --device phone
  mediator device chat --to ABCD1234 "lunch at noon?" --device phone --json`,
		Args: arguments("TEXT"),
	}
	to := cmd.Flags().String("to", "", "the receiver: an `ID` of 8 characters A–Z and 0–9 (required)")
	return newDeviceUser(cmd, func(ctx context.Context, d *deviceCommand, args []string) error {
		id, err := d.checkChat(*to, args[0])
		if err != nil {
			return err
		}
		return d.chat(ctx, id, args[0])
	})
}

// checkChat finds mistakes before anything is sent.
func (d *deviceCommand) checkChat(to, text string) (id csp.Identity, err error) {
	if to == "" {
		return id, usageOf(d.cmd, "--to is missing")
	}
	if id, err = parseIdentity("to", to); err != nil {
		return id, err
	}
	if err := checkText(text, csp.MaxBodySize, "chat message"); err != nil {
		return id, err
	}
	switch {
	case d.file.chat == nil:
		return id, d.file.wrong(errNoIdentity)
	case id == d.file.chat.id:
		return id, usage("to: %v is this device's own identity", id)
	}
	return id, nil
}

// chat sends a text and waits for the chat server's acknowledgement. The end of the connection is the end of the attempt:
// whoever typed the command shall not wait for a chat server that is away.
func (d *deviceCommand) chat(ctx context.Context, to csp.Identity, text string) error {
	config, err := d.config()
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errNoAnswer)
	defer cancel()
	key, err := d.file.chat.publicKey(ctx, to)
	switch {
	case errors.Is(err, client.ErrUnknownIdentity):
		return fmt.Errorf("to: the chat server knows no identity %v; nothing was sent", to)
	case err != nil:
		return err
	}
	config.Chat = d.file.chatConfig()
	config.Chat.PublicKey = func(context.Context, csp.Identity) (*ecdh.PublicKey, error) { return key, nil } // no other is asked for
	config.OnDisconnected = func(err error, _ time.Duration) { fail(err) }
	device, err := client.Connect(ctx, config)
	if err != nil {
		return err
	}
	defer device.Close()
	id, err := device.SendChat(ctx, to, csp.KindText, []byte(text))
	if err != nil {
		return err
	}
	return d.out.print(chatSent{"sent", to.String(), id.String(), time.Now().UTC(), text})
}
