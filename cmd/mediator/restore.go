package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"openmediator/admin"
	"openmediator/backup"
	"openmediator/reflect/boltstore"
)

func newVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [PATH]",
		Short: "Looks whether a backup or the server's data is sound",
		Long: `Reads a backup, or the data directory, from end to end, and counts what is in it. PATH is a file that "mediator backup" has
written, or a data directory; without it, it is --data. Nothing is changed.

If the server of the directory runs, it looks through all that it has stored itself; otherwise each page of the file is looked
at, too.

Exit codes:
  0  sound
  1  damaged, or it cannot be read, or is of a newer version
  2  usage: a flag, argument or setting is wrong
`,
		Example: `  mediator verify /backup/mediator.tar
  mediator verify --data /var/lib/mediator --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments([]string{"PATH"}[:min(len(args), 1)]...)(cmd, args)
		},
	}
	src := addServerSettings(cmd, "data")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := src.dataDirectory()
		if err != nil {
			return err
		}
		if len(args) > 0 {
			path = args[0]
		}
		found, err := verify(cmd.Context(), path)
		if err != nil {
			return err
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		if err := out.print(found); err != nil {
			return err
		}
		if found.Damaged > 0 {
			return fmt.Errorf("verify: %s in %s", counted(int64(found.Damaged), "damaged record"), path)
		}
		return nil
	}
	return cmd
}

// verify looks through a backup or a data directory.
func verify(ctx context.Context, path string) (verifiedData, error) {
	info, err := os.Stat(path)
	if err != nil {
		return verifiedData{}, usage("PATH: %s cannot be read: %v; name a backup or a data directory", path, reason(err))
	}
	if !info.IsDir() {
		contents, err := backup.CheckFile(path)
		return newBackedUp("verified", path, contents), err
	}
	found := verifiedData{Event: "verified", Path: path}
	client, err := admin.Connect(path)
	switch {
	case err == nil:
		found.Verified, err = client.Verify(ctx)
		return found, err
	case !errors.Is(err, admin.ErrNotRunning):
		return found, err
	case !boltstore.Exists(path):
		return found, usage("PATH: %s has no store; name a backup or a data directory", path)
	}
	tally, err := boltstore.Verify(path)
	found.Verified = verifiedOf(tally)
	return found, err
}

func newRestoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Makes a data directory of a backup",
		Long: `Makes what a backup holds the content of the data directory, for a server that does not run. If there is something in the
directory, nothing is done unless --replace is given: then that is moved to a directory "replaced-…" inside.

Devices connect again and go on. They may have seen what came after the backup, so the numbers and times that the server gives
out move ahead of it. What the server cannot know any more:
  - Messages of the time since the backup are lost for who had not received them. Those that were acknowledged since come
    again, with the numbers that they had.
  - A device that has joined its group since is told that it has no slot (4115), and has to be linked again; so has each device
    of a group that is newer than the backup.
  - Devices that were dropped since, and invitations that were used since, are there again: drop or revoke them.

` + exitCodes,
		Example: `  mediator restore /backup/mediator.tar --data /var/lib/mediator
  mediator restore /backup/mediator.tar --data /var/lib/mediator --replace`,
		Args: arguments("BACKUP"),
	}
	src := addServerSettings(cmd, "data")
	replace := cmd.Flags().Bool("replace", false, "move away what is in the directory")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := src.dataDirectory()
		if err != nil {
			return err
		}
		done, err := backup.Restore(args[0], dir, *replace)
		switch {
		case errors.Is(err, boltstore.ErrInUse):
			return fmt.Errorf("%w: stop it, or name another directory with --data", err)
		case errors.Is(err, backup.ErrNotEmpty):
			return usage("%v; name another one with --data, or add --replace to have that moved away", err)
		case err != nil:
			return err
		}
		e := restored{newBackedUp("restored", dir, done.Contents), done.Replaced}
		return (&printer{json: *json, out: cmd.OutOrStdout()}).print(e)
	}
	return cmd
}

func newCompactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Makes the store as small as it can be",
		Long: `Removes the bytes of what has been deleted from the store's file and gives the room back. The server may run, and devices go on
meanwhile. It does so by itself as --compact-every says; this is for not waiting.

` + exitCodes,
		Example: `  mediator compact --data /var/lib/mediator
  mediator compact --json`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, "data")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		o, err := s.operate()
		if err != nil {
			return err
		}
		defer o.close()
		done, err := o.data().Compact(cmd.Context())
		if err != nil {
			return err
		}
		return (&printer{json: *json, out: cmd.OutOrStdout()}).print(compacted{"compacted", done})
	}
	return cmd
}
