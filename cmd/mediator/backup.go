package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"openmediator/backup"
	"openmediator/internal/durable"
	"openmediator/reflect/boltstore"
)

func newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup DEST",
		Short: "Writes what the server keeps into one file",
		Long: `Writes a backup of the server's data into the file DEST: groups, devices, messages that wait, invitations, and the TLS keys that
clients may have pinned. The server may run, and devices go on meanwhile; the backup is what the server had at one moment. It
is written and checked under another name first, so that DEST is always whole.

Whoever has the file can pass for the server, unless --without-keys leaves the TLS keys out. Messages in it are encrypted, and
stay in it when devices have long acknowledged them.

Do not copy the data directory by hand: devices get numbers for what they see, and an old copy would give them out a second
time. "mediator restore" knows how to go on from an old backup.

` + exitCodes,
		Example: `  mediator backup /backup/mediator.tar --data /var/lib/mediator
  mediator backup mediator.tar --replace --without-keys --json`,
		Args: arguments("DEST"),
	}
	src := addServerSettings(cmd, "data")
	withoutKeys := cmd.Flags().Bool("without-keys", false, "leave the TLS keys and certificates out")
	replace := cmd.Flags().Bool("replace", false, "replace DEST if it is there")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		dest, err := newDestination(args[0], *replace)
		if err != nil {
			return err
		}
		contents, err := s.backUp(cmd.Context(), dest, *withoutKeys, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		return out.print(newBackedUp("backup", dest.path, contents))
	}
	return cmd
}

// backUp writes a backup of the data directory.
func (s *settings) backUp(ctx context.Context, dest *destination, withoutKeys bool, errOut io.Writer) (contents backup.Contents, err error) {
	o, err := s.operate()
	if err != nil {
		return contents, err
	}
	defer o.close()
	if err := dest.open(); err != nil {
		return contents, err
	}
	shown := newProgress(errOut, filepath.Join(o.dir, boltstore.FileName))
	err = o.data().Backup(ctx, io.MultiWriter(dest, shown), withoutKeys)
	shown.end()
	if err != nil {
		return contents, errors.Join(fmt.Errorf("backup %s: %w", dest.path, reason(err)), dest.abandon())
	}
	return dest.finish()
}

// destination is the file that a backup is written to.
type destination struct {
	path    string
	replace bool
	file    *os.File // beside it, under another name
	dirty   int      // bytes that may not be on their way to the disk
}

// maxDirty is how much is written before it is carried to the disk, bytes: little, so that no sync of a server on the same disk
// finds much of it before it.
const maxDirty = 1 << 20

func (d *destination) Write(b []byte) (int, error) {
	n, err := d.file.Write(b)
	if d.dirty += n; d.dirty >= maxDirty && err == nil {
		d.dirty = 0
		err = boltstore.WriteBack(d.file)
	}
	return n, err
}

func newDestination(path string, replace bool) (*destination, error) {
	d := &destination{path: path, replace: replace}
	return d, d.check()
}

func (d *destination) check() error {
	info, err := os.Stat(d.path)
	switch {
	case d.path == "":
		return usage("DEST: is empty; name the file that is to be made")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return usage("DEST: %s cannot be looked at: %v; name a file in a directory that is there", d.path, reason(err))
	case !info.Mode().IsRegular():
		return usage("DEST: %s is not a file; name one that is to be made", d.path)
	case !d.replace:
		return usage("DEST: %s is there already; name another file, or add --replace", d.path)
	}
	return nil
}

func (d *destination) open() (err error) {
	d.file, err = os.CreateTemp(filepath.Dir(d.path), "."+filepath.Base(d.path)+".*")
	if err != nil {
		return fmt.Errorf("DEST: %s cannot be written: %w; name a file in a directory that this user may write to", d.path, reason(err))
	}
	return nil
}

// abandon leaves no file behind.
func (d *destination) abandon() error {
	_ = d.file.Close()
	return os.Remove(d.file.Name())
}

// finish gives the file its name when it is durable, and has been read again.
func (d *destination) finish() (backup.Contents, error) {
	var contents backup.Contents
	err := errors.Join(d.file.Chmod(0o600), d.file.Sync())
	if err == nil {
		contents, err = backup.CheckFile(d.file.Name())
	}
	if err == nil {
		err = d.check()
	}
	if err == nil {
		err = os.Rename(d.file.Name(), d.path)
	}
	if err != nil {
		return contents, errors.Join(err, d.abandon())
	}
	return contents, errors.Join(d.file.Close(), durable.SyncDirectory(filepath.Dir(d.path)))
}

// progress shows on a terminal how much of a file has been copied, about.
type progress struct {
	to   io.Writer // nil: it is not shown
	of   int64     // bytes; 0: not known
	done int64
	last time.Time
}

// progressEvery is how often it is shown.
const progressEvery = 200 * time.Millisecond

func newProgress(to io.Writer, path string) *progress {
	p := new(progress)
	if isTerminal(to) {
		p.to = to
	}
	if info, err := os.Stat(path); err == nil {
		p.of = info.Size()
	}
	return p
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if p.to != nil && time.Since(p.last) >= progressEvery {
		p.last = time.Now()
		fmt.Fprintf(p.to, "\rbackup: %d MiB of %d MiB or less ", p.done>>20, p.of>>20)
	}
	return len(b), nil
}

// end clears the line.
func (p *progress) end() {
	if p.to != nil {
		fmt.Fprint(p.to, clearLine)
	}
}
