package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newDeviceNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Makes a device file",
		Long: `Makes a device file and prints the id of its group, 64 hex digits. Without a flag that is a new group with a random
key. The server is not asked: the device gets its slot when it first connects.

With --chat-register the group gets an identity at a chat server, 8 characters, which is printed behind the group's id. A
device that joins has the identity of its group, and is a device of its own at the chat server.

The file is readable by its owner alone (0600). Whoever has it can read and write as this group.

` + exitCodes,
		Example: `  mediator device new phone
  mediator device new laptop --join phone
  mediator device new tablet --join phone --server wss://example.org/mediator
  mediator device new phone --identity-key - < identity.hex
  mediator device new phone --chat-register http://127.0.0.1:5280 --chat-key HEX`,
		Args: arguments("FILE"),
	}
	identity := cmd.Flags().String("identity-key", "", "derive the group from this private key of an identity, 64 hex "+
		"digits: the original scheme; - reads it from standard input, where no other process can see it")
	join := cmd.Flags().String("join", "", "make a further device of the group of this device file")
	var chat registration
	cmd.Flags().StringVar(&chat.directory, "chat-register", "", "register an identity for the group with the chat server that "+
		"has its HTTP interface at this `URL`, such as http://127.0.0.1:5280; with --identity-key it is the key's")
	cmd.Flags().StringVar(&chat.serverKey, "chat-key", "", "the chat server's public key, 64 hex digits, as "+
		"\"mediator chatserver\" prints it (required with --chat-register)")
	cmd.Flags().StringVar(&chat.wish, "chat-identity", "", "the identity wished for, 8 characters A–Z and 0–9 (default any)")
	src := addSettings(cmd, os.LookupEnv, ofDevice)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		if err := chat.check(cmd, *join != ""); err != nil {
			return err
		}
		content, err := newDeviceContent(cmd, *identity, *join)
		if err != nil {
			return err
		}
		if s.url != "" {
			content.Server = s.url
		}
		if err := content.setCA(s); err != nil {
			return err
		}
		f, err := makeDeviceFile(cmd.Context(), args[0], content, chat)
		if err != nil {
			return err
		}
		out := &printer{json: s.json, out: cmd.OutOrStdout()}
		return out.print(newCreated(f))
	}
	return cmd
}

// newDeviceContent is a device of a new group, of that of an identity, or of the one that another device is in.
func newDeviceContent(cmd *cobra.Command, identity, join string) (deviceContent, error) {
	switch hasIdentity := cmd.Flags().Changed("identity-key"); {
	case hasIdentity && join != "":
		return deviceContent{}, usageOf(cmd, "--identity-key and --join contradict each other")
	case hasIdentity:
		return identityContent(identity, cmd.InOrStdin())
	case join != "":
		return joinedContent(join)
	}
	return groupContent(), nil
}

// makeDeviceFile is createDeviceFile for a device that may have to get its identity first.
func makeDeviceFile(ctx context.Context, path string, content deviceContent, chat registration) (*deviceFile, error) {
	if chat.directory != "" {
		if err := (&deviceFile{path: path}).checkAbsent(); err != nil {
			return nil, err
		}
		if err := chat.register(ctx, &content); err != nil {
			return nil, err
		}
	}
	return createDeviceFile(path, content)
}

// groupContent is a device of a new group.
func groupContent() deviceContent {
	var key [32]byte
	rand.Read(key[:])
	return deviceContent{Server: defaultServer, GroupKey: hex.EncodeToString(key[:])}
}

// identityContent is a device of the group that belongs to an identity.
func identityContent(key string, in io.Reader) (deviceContent, error) {
	if key == "-" {
		line, err := bufio.NewReader(io.LimitReader(in, 1024)).ReadString('\n')
		if err != nil && err != io.EOF {
			return deviceContent{}, usage("identity-key: standard input cannot be read: %v", err)
		}
		key = strings.TrimSpace(line)
	}
	if _, err := parseKey(key); err != nil {
		return deviceContent{}, usage("identity-key: %v", err)
	}
	return deviceContent{Server: defaultServer, IdentityKey: key}, nil
}

// joinedContent is a further device of the group that another one is in.
func joinedContent(path string) (deviceContent, error) {
	other, err := readDeviceFile(path)
	if err != nil {
		return deviceContent{}, err
	}
	c := other.content
	joined := deviceContent{Server: c.Server, CA: c.CA, GroupKey: c.GroupKey, IdentityKey: c.IdentityKey}
	if c.Chat != nil {
		chat := *c.Chat
		chat.DeviceID = formatDeviceID(newDeviceID())
		joined.Chat = &chat
	}
	return joined, nil
}
