package main

import (
	"github.com/spf13/cobra"

	"openmediator/admin"
)

func newPrivacyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "privacy",
		Short: "Tells what the server knows of its users",
		Long: `Tells what the running server knows of its users at this moment, item by item: on disk, in memory, in its log; how much there
is, and for how long it is kept.

` + exitCodes,
		Example: `  mediator privacy --data /var/lib/mediator
  mediator privacy --json`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, "data")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		known, err := askServer(cmd.Context(), src, (*admin.Client).Privacy)
		if err != nil {
			return err
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		for _, item := range known.Items {
			if err := out.print(knownItem{"known", item}); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
