package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"openmediator/access"
)

// How long an invitation may last.
const (
	shortestInvitation = time.Minute
	longestInvitation  = 366 * day
)

const day = 24 * time.Hour

func newInviteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Invites a new group",
		Long: `Makes a code that lets one new device group register with a server that runs with --access invite, and prints it with the
URL that devices are to be told. The code is a part of the URL: wss://HOST/i/CODE/. It is used up by the first group that
comes with it; all devices of that group may go on using this URL, or one without the code.

The code is printed once and stored nowhere: the server keeps a hash of it under --data until it is used or has expired. The
server need not run, nor be restarted.

` + exitCodes,
		Example: `  mediator invite --data /var/lib/mediator --public-url wss://mediator.example.net
  mediator invite --expires 12h --json
  mediator invite list
  mediator invite revoke 0f3a7c29b1d4e586`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, "data", "public-url")
	expires := cmd.Flags().String("expires", "7d", "how `long` the code may be used, 1m to 366d")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		lasts, err := parseLong(*expires, shortestInvitation, longestInvitation)
		if err != nil {
			return usageOf(cmd, "expires: %v", err)
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		return invite(s, time.Now().Add(lasts), out)
	}
	cmd.AddCommand(newInviteListCommand(), newInviteRevokeCommand())
	return cmd
}

func invite(s *settings, expires time.Time, out *printer) error {
	if err := s.checkPublicURL(); err != nil {
		return usageError(err.Error())
	}
	invitations, err := s.openInvitations()
	if err != nil {
		return err
	}
	code, err := invitations.Create(expires, time.Now())
	if err != nil {
		return err
	}
	e := invited{Event: "invited", ID: code.ID(), Code: string(code), Path: "/" + code.Path() + "/", Expires: expires.UTC().Truncate(time.Second)}
	if s.publicURL != "" {
		e.URL = strings.TrimSuffix(s.publicURL, "/") + e.Path
	}
	return out.print(e)
}

// openInvitations returns the invitations of a data directory that is there.
func (s *settings) openInvitations() (*access.Invitations, error) {
	dir, err := s.dataDirectory()
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage("data: %s is not there; name the server's directory with --data, or start the server once", dir)
	case err == nil && !info.IsDir():
		return nil, usage("data: %s is not a directory; name the server's with --data", dir)
	}
	if err := mayWrite(dir); err != nil {
		return nil, fmt.Errorf("data: %s: %w; run this as the server's user", dir, err)
	}
	return access.NewInvitations(invitationsIn(dir)), nil
}

// openInvitations is the same for a command that needs no other settings.
func (src *sources) openInvitations() (*access.Invitations, error) {
	s, err := src.load()
	if err != nil {
		return nil, err
	}
	return s.openInvitations()
}

// checkPublicURL refuses what cannot be the beginning of a device's URL. It may hold placeholders for parts of a group id.
func (s *settings) checkPublicURL() error {
	if s.publicURL == "" {
		return nil
	}
	u, err := url.Parse(strings.NewReplacer("{", "x", "}", "x").Replace(s.publicURL))
	if err != nil || u.Scheme != "wss" && u.Scheme != "ws" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("public-url: %q is not wss://HOST with any path", s.publicURL)
	}
	return nil
}

// parseLong reads a time that may be given in days.
func parseLong(text string, low, high time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if digits, inDays := strings.CutSuffix(text, "d"); inDays {
		var days int64
		days, err = strconv.ParseInt(digits, 10, 32)
		d = time.Duration(min(days, math.MaxInt64/int64(day))) * day
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a time such as 90m, 12h or 7d", text)
	}
	if d < low || d > high {
		return 0, fmt.Errorf("%s is not within %s to %s", text, formatLong(low), formatLong(high))
	}
	return d, nil
}

// formatLong writes a time in its largest unit that fits.
func formatLong(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= unit.size && d%unit.size == 0 {
			return fmt.Sprintf("%d%s", d/unit.size, unit.name)
		}
	}
	return d.String()
}

func newInviteListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the invitations",
		Long: `Lists the invitations that have not expired and have not led to a registered group: an id, which is no secret and does not
tell the code, until when they may be used, and whether a group has come with the code and has not finished registering.

` + exitCodes,
		Example: "  mediator invite list --data /var/lib/mediator",
		Args:    arguments(),
	}
	src := addServerSettings(cmd, "data")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		invitations, err := src.openInvitations()
		if err != nil {
			return err
		}
		all, err := invitations.List()
		if err != nil {
			return err
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		for _, i := range all {
			if time.Now().After(i.Expires) {
				continue
			}
			if err := out.print(invitation{"invitation", i.ID, i.Expires.UTC(), i.Used}); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

func newInviteRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Takes an invitation back",
		Long: `Takes an invitation back that has not led to a registered group yet. ID is what "mediator invite" and "mediator invite
list" print.

` + exitCodes,
		Example: "  mediator invite revoke 0f3a7c29b1d4e586 --data /var/lib/mediator",
		Args:    arguments("ID"),
	}
	src := addServerSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		invitations, err := src.openInvitations()
		if err != nil {
			return err
		}
		found, err := invitations.Revoke(args[0])
		if err == nil && !found {
			return usage("ID: %q is no invitation: it was used, has expired, or was never made", args[0])
		}
		return err
	}
	return cmd
}
