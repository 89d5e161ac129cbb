package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"openmediator/admin"
)

// healthTimeout is how long the server has to answer. It is below what container programs allow by default.
const healthTimeout = 5 * time.Second

func newHealthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tells whether the server is ready",
		Long: `Asks the running server whether devices should be sent to it, and prints what it has looked at: a line each, which begins
with ok, fail or, for what does not decide, warn. It asks the socket in the data directory, or with --admin what admin-listen
serves; no token is needed for that.

Exit codes:
  0  it is ready
  1  it is not, or does not answer
  2  a setting or an argument is wrong
`,
		Example: `  mediator health --data /var/lib/mediator
  mediator health --json
  mediator health --admin http://127.0.0.1:8441`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, "data")
	at := cmd.Flags().String("admin", "", "ask at this address, http://HOST:PORT or unix:PATH, instead")
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		address, err := parseAdminAddress(*at)
		if err != nil {
			return usage("admin: %v", err)
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
		defer cancel()
		ready, err := s.readiness(ctx, address)
		if err != nil {
			return err
		}
		out := &printer{json: *json, out: cmd.OutOrStdout()}
		for _, check := range ready.Checks {
			if err := out.print(healthCheck{"check", check}); err != nil {
				return err
			}
		}
		if !ready.Ready {
			return errors.New("health: the server is not ready")
		}
		return nil
	}
	return cmd
}

// readiness asks a server at an address, or that of the data directory.
func (s *settings) readiness(ctx context.Context, at adminAddress) (ready admin.Readiness, err error) {
	if at.network != "" {
		if ready, err = admin.ConnectTo(at.network, at.name).Ready(ctx); err != nil {
			err = fmt.Errorf("%w: is the server running, and is this its admin-listen?", err)
		}
		return ready, err
	}
	dir, err := s.dataDirectory()
	if err != nil {
		return ready, err
	}
	client, err := admin.Connect(dir)
	if errors.Is(err, admin.ErrNotRunning) {
		return ready, fmt.Errorf("data: %w, %s: start it, or name its directory with --data", err, dir)
	}
	if err != nil {
		return ready, err
	}
	return client.Ready(ctx)
}

// healthCheck: something that the server has looked at.
type healthCheck struct {
	Event string `json:"event"`
	admin.Check
}

func (e healthCheck) String() string {
	result := "ok"
	switch {
	case !e.OK && e.Info:
		result = "warn"
	case !e.OK:
		result = "fail"
	}
	return fmt.Sprintf("%-4s  %-8s  %s", result, printable(e.Name), printable(e.Text))
}
