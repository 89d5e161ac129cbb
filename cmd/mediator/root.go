package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

const exitCodes = `Exit codes:
  0  done, or ended by a signal in an orderly way
  1  refused by the server, or failed here
  2  usage: a flag, argument, setting or device file is wrong
  3  cannot connect, or the connection was lost
`

// run carries out one command line and returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go obeySignals(cancel)

	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprint(errOut, report(err))
	}
	return exitCode(err)
}

// report returns what the program says of an error when it ends: a line, or several if more than one setting is wrong.
func report(err error) string {
	const prefix = "mediator: "
	var wrong settingsError
	if errors.As(err, &wrong) {
		return wrong.report(prefix)
	}
	return prefix + printable(describe(err)) + "\n"
}

// obeySignals ends the command in an orderly way at the first signal, and the process at the second. It runs as long as
// the process does.
func obeySignals(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	cancel()
	<-signals
	os.Exit(exitFailed)
}

func newRootCommand() *cobra.Command {
	root := newParent(&cobra.Command{
		Use:   "mediator",
		Short: "Reflects encrypted messages between the devices of one user",
		Long: `The mediator connects the devices of one user: whatever one of them reflects reaches all the others, encrypted, in
order, and survives anything short of losing the disk. This one program is the server and, for the shell, a device.

` + exitCodes,
		Example: `  mediator demo                    # see it work, in about fifteen seconds
  mediator dev                     # try it, with a chat server and two users
  mediator serve                   # run the server, with no set-up at all
  mediator device new phone        # make a device file; "mediator device" tells the rest
  source <(mediator completion bash)`,
	})
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 110"))
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageOf(cmd, "%v", err)
	})
	root.AddCommand(newServeCommand(), newGroupCommand(), newInviteCommand(), newPrivacyCommand(), newHealthCommand(), newAdminCommand(), newBackupCommand(),
		newVerifyCommand(), newRestoreCommand(), newCompactCommand(), newConfigCommand(),
		newChatServerCommand(), newDeviceCommand(), newDevCommand(), newDemoCommand(), newPinCommand(),
		newBenchCommand(), newVersionCommand())
	return root
}

// newParent completes a command that only has others below it.
func newParent(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2 // letters
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
			return usageOf(cmd, "%q is not a command; is %s meant?", args[0], strings.Join(meant, " or "))
		}
		return usageOf(cmd, "%q is not a command", args[0])
	}
	return cmd
}

// arguments wants as many arguments as there are names.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageOf(cmd, "%s is missing", names[len(args)])
		case len(args) > len(names):
			return usageOf(cmd, "%q is one argument too many; quote a text with spaces in it", args[len(names)])
		}
		return nil
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Tells which build this is",
		Long:    "Prints the version of this program, and that of the Go it was built with.",
		Example: "  mediator version",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "mediator %s\n", version())
			return err
		},
	}
}

// version names the build: the module's version or, built from a clone, what Go makes of its commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}

// moduleVersion is the version without that of Go.
func moduleVersion() string {
	name, _, _ := strings.Cut(version(), " ")
	return name
}
