package main

import (
	"encoding/hex"

	"github.com/spf13/cobra"

	"openmediator/access"
	"openmediator/d2m"
)

func newGroupCommand() *cobra.Command {
	cmd := newParent(&cobra.Command{
		Use:   "group",
		Short: "Shows the groups, and says which may use the server",
		Long: `Shows which groups use the server, and says who may, as its operator.

GROUP is the id of a device group, 64 hexadecimal digits. Apps show it, "mediator device new" prints it.

"allow" and "deny" edit the access list, which the server is told with --access-list (MEDIATOR_ACCESS_LIST); it reads the
file again within seconds. A denied group is never let in, and is closed with 4010 if it is connected. Who else may use
the server is said by --access: see "mediator serve --help".

` + exitCodes,
		Example: `  mediator group list --idle 180d
  mediator group forget 5c0a91f3
  mediator group allow 8d2f…c41e --access-list /etc/mediator/groups
  mediator group deny 8d2f…c41e --access-list /etc/mediator/groups`,
	})
	cmd.AddCommand(newGroupListCommand(), newGroupForgetCommand(), newGroupVerdictCommand(access.Allowed), newGroupVerdictCommand(access.Denied))
	return cmd
}

// verdictUses are the texts of the two commands that edit the access list.
var verdictUses = map[access.Verdict]struct{ name, short, long string }{
	access.Allowed: {"allow", "Allows a group to use the server", `Puts a group on the access list as one that is allowed, or allows it again that was denied.`},
	access.Denied: {"deny", "Denies a group the use of the server", `Puts a group on the access list as one that is denied, whatever else would let it in. What is stored for it stays; "mediator
group forget" removes it.`},
}

func newGroupVerdictCommand(verdict access.Verdict) *cobra.Command {
	use := verdictUses[verdict]
	cmd := &cobra.Command{
		Use:   use.name + " GROUP",
		Short: use.short,
		Long: use.long + `

The file is made if it is not there, and else replaced as a whole; comments, mode and owner stay. In a file with a wrong line
nothing is changed.

` + exitCodes,
		Example: "  mediator group " + use.name + " 8d2f…c41e --access-list /etc/mediator/groups",
		Args:    arguments("GROUP"),
	}
	src := addServerSettings(cmd, "access-list")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		if s.accessList == "" {
			return usageOf(cmd, "--access-list is missing: the file that the server is told with --access-list, too")
		}
		group, err := parseGroup(args[0])
		if err != nil {
			return err
		}
		changed, err := access.Edit(s.accessList, group, verdict)
		if err != nil {
			return err
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		return out.print(listed{"listed", hex.EncodeToString(group[:]), verdict.String(), changed})
	}
	return cmd
}

// addJSONFlag adds --json to a command that is not a device's.
func addJSONFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print one JSON object per line")
}

// parseGroup reads an argument that names a group.
func parseGroup(text string) (d2m.GroupID, error) {
	group, err := access.ParseGroupID(text)
	if err != nil {
		return group, usage("GROUP: %q is not the id of a group, 64 hexadecimal digits as \"mediator device new\" prints them", text)
	}
	return group, nil
}
