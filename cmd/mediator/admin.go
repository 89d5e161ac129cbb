package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"openmediator/admin"
)

func newAdminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Prints a link to the admin page",
		Long: `Prints a link to the page on which the running server shows how it is, to be opened in a browser. It is good once, and for five
minutes; the session that it begins lasts for twelve hours, in that tab of the browser alone.

The server has to be started with --admin-listen, such as 127.0.0.1:8441. If it runs elsewhere, forward the port with
ssh -L 8441:127.0.0.1:8441 HOST, and open the link as it was printed. Nobody else should see the link.

` + exitCodes,
		Example: `  mediator admin --data /var/lib/mediator
  mediator admin --json`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, "data")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		link, err := askServer(cmd.Context(), src, (*admin.Client).Link)
		if err != nil {
			return err
		}
		return (&printer{json: *json, out: cmd.OutOrStdout()}).print(adminLink{"link", link.URL, link.Expires})
	}
	return cmd
}

// adminLink: the admin page can be opened.
type adminLink struct {
	Event   string    `json:"event"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

func (e adminLink) String() string {
	return fmt.Sprintf("%s\ngood once, until %s", printable(e.URL), clock(e.Expires))
}
