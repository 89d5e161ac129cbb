package main

import (
	"context"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/devicekeys"
)

func newDeviceReflectCommand() *cobra.Command {
	return newDeviceUser(&cobra.Command{
		Use:   "reflect TEXT",
		Short: "Reflects a text to all other devices of the group",
		Long: `Reflects a text to all other devices of the group and returns when the server has it on disk, with the time that the
others will see. Devices that are away get it when they come back. A device that has never connected gets nothing from
before; in a group of one, nobody gets anything.

While a listen runs with the same device file this command refuses: type the text there.

` + exitCodes,
		Example: `  mediator device reflect hello --device phone
  mediator device reflect "lunch at noon?" --device phone
  mediator device reflect --json hello --device phone`,
		Args: arguments("TEXT"),
	}, reflectText)
}

func reflectText(ctx context.Context, d *deviceCommand, args []string) error {
	text := args[0]
	if err := checkText(text, maxTextSize, "envelope"); err != nil {
		return err
	}
	return d.ask(ctx, func(ctx context.Context, device *client.Device) error {
		at, err := device.Reflect(ctx, devicekeys.Envelope{Text: text})
		if err != nil {
			return err
		}
		return d.out.print(newReflected(at, text))
	})
}

// maxTextSize leaves room in the envelope for what stands beside the text: device id, tags, lengths.
const maxTextSize = devicekeys.MaxEnvelopePlainSize - 32

// checkText tells whether a text fits into something that takes so many bytes.
func checkText(text string, most int, into string) error {
	switch {
	case text == "":
		return usage("text: is empty")
	case len(text) > most:
		return usage("text: has %d bytes, at most %d go into one %s", len(text), most, into)
	case !utf8.ValidString(text):
		return usage("text: is not UTF-8")
	}
	return nil
}

func newDeviceDevicesCommand() *cobra.Command {
	return newDeviceUser(&cobra.Command{
		Use:   "devices",
		Short: "Lists the devices of the group",
		Long: `Lists all devices that have a slot in the group, this one too: id, whether it is connected, since when it is that or
away, and what it says of itself.

` + exitCodes,
		Example: `  mediator device devices --device phone
  mediator device devices --device phone --json`,
		Args: arguments(),
	}, listDevices)
}

func listDevices(ctx context.Context, d *deviceCommand, _ []string) error {
	return d.ask(ctx, func(ctx context.Context, device *client.Device) error {
		return d.printDevices(ctx, device)
	})
}

func (d *deviceCommand) printDevices(ctx context.Context, device *client.Device) error {
	slots, err := device.Devices(ctx)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if err := d.out.print(newSlot(d.file, s)); err != nil {
			return err
		}
	}
	return nil
}

func newDeviceDropCommand() *cobra.Command {
	return newDeviceUser(&cobra.Command{
		Use:   "drop ID",
		Short: "Removes a device from the group",
		Long: `Frees the slot of a device: what waits for it is gone, and if it is connected it is closed with 4113. A device may drop
itself; it is new in its group when it connects again. ID is 16 hex digits, as "mediator device devices" prints them. An id
that has no slot is no error.

Dropping keeps nobody out who has the group's key.

` + exitCodes,
		Example: `  mediator device drop 00c0ffee00c0ffee --device phone`,
		Args:    arguments("ID"),
	}, dropDevice)
}

func dropDevice(ctx context.Context, d *deviceCommand, args []string) error {
	id, err := parseDeviceID(args[0])
	if err != nil {
		return usage("ID: %v", err)
	}
	return d.ask(ctx, func(ctx context.Context, device *client.Device) error {
		if err := device.Drop(ctx, id); err != nil {
			return err
		}
		if id == d.file.id {
			if err := d.file.setRegistered(false); err != nil {
				return err
			}
		}
		return d.out.print(dropped{"dropped", formatDeviceID(id)})
	})
}
