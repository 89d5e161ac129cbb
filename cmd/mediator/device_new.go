package main

import (
	"bufio"
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

The file is readable by its owner alone (0600). Whoever has it can read and write as this group.

` + exitCodes,
		Example: `  mediator device new phone
  mediator device new laptop --join phone
  mediator device new tablet --join phone --server wss://example.org/mediator
  mediator device new phone --identity-key - < identity.hex`,
		Args: arguments("FILE"),
	}
	identity := cmd.Flags().String("identity-key", "", "derive the group from this private key of an identity, 64 hex "+
		"digits: the original scheme; - reads it from standard input, where no other process can see it")
	join := cmd.Flags().String("join", "", "make a further device of the group of this device file")
	src := addSettings(cmd, os.LookupEnv, ofDevice)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		var content deviceContent
		switch hasIdentity := cmd.Flags().Changed("identity-key"); {
		case hasIdentity && *join != "":
			return usageOf(cmd, "--identity-key and --join contradict each other")
		case hasIdentity:
			content, err = identityContent(*identity, cmd.InOrStdin())
		case *join != "":
			content, err = joinedContent(*join)
		default:
			content = groupContent()
		}
		if err != nil {
			return err
		}
		if s.url != "" {
			content.Server = s.url
		}
		f, err := createDeviceFile(args[0], content)
		if err != nil {
			return err
		}
		out := &printer{json: s.json, out: cmd.OutOrStdout()}
		return out.print(newCreated(f))
	}
	return cmd
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
	return deviceContent{Server: c.Server, GroupKey: c.GroupKey, IdentityKey: c.IdentityKey}, nil
}
