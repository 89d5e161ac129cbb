package main

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/devicekeys"
)

// answerTimeout is how long a command waits for what it asked of the server, connecting included.
const answerTimeout = 30 * time.Second

func newDeviceCommand() *cobra.Command {
	cmd := newParent(&cobra.Command{
		Use:   "device",
		Short: "Is a device for the shell",
		Long: `A real device of a real group, for the shell. What it is stands in a device file: the key of its group (keep it
secret), its own id, the server's URL, whether the server has a slot for it, and which messages it has handled. If the
group has an identity at a chat server, that and its key stand there, too.

Texts travel encrypted with the group's key, in a field of their own, so that no app mistakes one for a message.

The flags can also be given as environment variables: MEDIATOR_DEVICE, MEDIATOR_SERVER, MEDIATOR_JSON. A flag wins.

` + exitCodes,
		Example: `  mediator device new phone                      # a new group with one device
  mediator device new laptop --join phone        # a further device of that group
  mediator device devices --device laptop        # connects once: from now on messages wait for it
  mediator device reflect hello --device phone
  mediator device transact --scope contact renamed portrayed --device phone   # both or none
  mediator device listen --device laptop         # prints: … message from …: hello
  mediator device chat --to ABCD1234 hello --device phone   # to another user; "mediator dev" prepares it all`,
	})
	cmd.AddCommand(newDeviceNewCommand(), newDeviceListenCommand(), newDeviceReflectCommand(),
		newDeviceTransactCommand(), newDeviceChatCommand(), newDeviceDevicesCommand(), newDeviceDropCommand())
	return cmd
}

// newDeviceUser completes a command that connects as the device it is told.
func newDeviceUser(cmd *cobra.Command, do func(ctx context.Context, d *deviceCommand, args []string) error) *cobra.Command {
	src := addSettings(cmd, os.LookupEnv, ofDevice, ofDeviceFile)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		if s.device == "" {
			return usageOf(cmd, `--device is missing; "mediator device new FILE" makes a device file`)
		}
		file, err := openDeviceFile(s.device)
		if err != nil {
			return err
		}
		defer file.close()
		d := &deviceCommand{cmd: cmd, file: file, out: &printer{json: s.json, out: cmd.OutOrStdout()}, url: file.content.Server}
		if s.url != "" {
			d.url = s.url
		}
		if d.tls, err = s.deviceTLS(file.content.CA); err != nil {
			return err
		}
		return do(cmd.Context(), d, args)
	}
	return cmd
}

// deviceCommand is a run of a command that connects as a device.
type deviceCommand struct {
	cmd  *cobra.Command
	file *deviceFile
	out  *printer
	url  string
	tls  *tls.Config // nil: the defaults
}

// config is what every device command connects with. It leaves messages on the server.
func (d *deviceCommand) config() (client.Config, error) {
	if _, err := client.URL(d.url, d.file.keys.GroupID(), client.DefaultServerGroup); err != nil {
		return client.Config{}, usage("server: %q: %v", d.url, err)
	}
	return client.Config{
		URL:          d.url,
		Dialer:       client.Dialer{TLS: d.tls},
		Keys:         d.file.keys,
		DeviceID:     d.file.id,
		Info:         devicekeys.DeviceInfo{Label: filepath.Base(d.file.path), AppVersion: "mediator " + version()},
		Registered:   d.file.content.Registered,
		OnRegistered: func() error { return d.file.setRegistered(true) },
		Nonces:       d.file,
	}, nil
}

// ask connects, has do done, and disconnects.
func (d *deviceCommand) ask(ctx context.Context, do func(ctx context.Context, device *client.Device) error) error {
	config, err := d.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	device, err := client.Connect(ctx, config)
	if err != nil {
		return err
	}
	defer device.Close()
	return do(ctx, device)
}
