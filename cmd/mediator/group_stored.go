package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"openmediator/d2m"
)

const longestIdle = 36_500 * day

const pseudonymSize = 4 // bytes

func newGroupListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the groups that the server knows",
		Long: `Lists the device groups that have devices here: how many, when one was last connected, and what waits for them. If the
server runs, a group is named by the pseudonym that it has in the log, too, until the server is started anew; --ids shows the
ids instead. Whoever may run this command can read them in the store as well.

` + exitCodes,
		Example: `  mediator group list --data /var/lib/mediator
  mediator group list --idle 180d --ids --json`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, "data")
	idle := cmd.Flags().String("idle", "0s", "only groups of which no device was connected for so `long`, up to 36500d")
	ids := cmd.Flags().Bool("ids", false, "show the ids of the groups")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		away, err := parseLong(*idle, 0, longestIdle)
		if err != nil {
			return usageOf(cmd, "idle: %v", err)
		}
		return listGroups(cmd, s, away, *ids, &printer{json: *json, out: cmd.OutOrStdout()})
	}
	return cmd
}

func listGroups(cmd *cobra.Command, s *settings, idle time.Duration, ids bool, out *printer) error {
	o, err := s.operate()
	if err != nil {
		return err
	}
	defer o.close()
	groups, err := o.groups(cmd.Context(), idle, ids)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := out.print(knownGroup{"group", g}); err != nil {
			return err
		}
	}
	return nil
}

func newGroupForgetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget GROUP",
		Short: "Removes a group with all that is stored for it",
		Long: `Drops all device slots of a group: what waits for its devices is lost, connected ones are closed with 4113, and apps may
delete their multi-device data when they hear of it. Nothing of the group stays on the disk; while the server runs, its bytes
may stay in the file until the next compaction. GROUP is its id, or the pseudonym that "mediator group list" prints while the
server runs.

It keeps nobody out: if the server is open to the group, its devices may register anew. "mediator group deny" does that.

` + exitCodes,
		Example: `  mediator group forget 5c0a91f3 --data /var/lib/mediator
  mediator group forget 8d2f…c41e --yes`,
		Args: arguments("GROUP"),
	}
	src := addServerSettings(cmd, "data")
	yes := cmd.Flags().Bool("yes", false, "do it without asking")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		name := strings.ToLower(args[0])
		if !isGroupName(name) {
			return usage("GROUP: %q is neither the id of a group, 64 hexadecimal digits, nor a pseudonym, 8 of them", args[0])
		}
		if !*yes {
			if err := confirm(cmd, "Forget group "+name+", and all that waits for its devices?"); err != nil {
				return err
			}
		}
		return forgetGroup(cmd, s, name, &printer{json: *json, out: cmd.OutOrStdout()})
	}
	return cmd
}

// isGroupName says whether a text may name a group: by its id or by its pseudonym.
func isGroupName(text string) bool {
	data, err := hex.DecodeString(text)
	return err == nil && (len(data) == len(d2m.GroupID{}) || len(data) == pseudonymSize)
}

func forgetGroup(cmd *cobra.Command, s *settings, name string, out *printer) error {
	o, err := s.operate()
	if err != nil {
		return err
	}
	defer o.close()
	if err := o.forget(cmd.Context(), name); err != nil {
		return err
	}
	return out.print(forgottenGroup{"forgotten", name})
}

// confirm asks on a terminal. Elsewhere --yes has to be given.
func confirm(cmd *cobra.Command, question string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usageOf(cmd, "--yes is missing: there is no terminal to ask whether this is meant")
	}
	return askFor(cmd.InOrStdin(), cmd.ErrOrStderr(), question)
}

// askFor wants a yes.
func askFor(in io.Reader, out io.Writer, question string) error {
	if _, err := fmt.Fprint(out, question+" [y/N] "); err != nil {
		return err
	}
	answer, _ := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return usage("nothing was done")
	}
	return nil
}
