package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
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
	go obeySignals(takeSignals(), cancel)

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

// takeSignals keeps signals from ending the process. It is to be done before the command begins: a goroutine of its own could
// come too late to it, when a server listens already and is told to stop.
func takeSignals() chan os.Signal {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	return signals
}

// obeySignals ends the command in an orderly way at the first signal, and the process at the second. It runs as long as
// the process does.
func obeySignals(signals <-chan os.Signal, cancel context.CancelFunc) {
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
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelpCommand(root))
	root.AddCommand(newServeCommand(), newGroupCommand(), newInviteCommand(), newPrivacyCommand(), newHealthCommand(), newAdminCommand(), newBackupCommand(),
		newVerifyCommand(), newRestoreCommand(), newCompactCommand(), newConfigCommand(),
		newChatServerCommand(), newDeviceCommand(), newDevCommand(), newDemoCommand(), newPinCommand(),
		newBenchCommand(), newVersionCommand())
	addCompletion(root)
	return root
}

// completionUses say how a shell is told what the command for it prints.
var completionUses = map[string]string{
	"bash":       "  source <(mediator completion bash)",
	"fish":       "  mediator completion fish | source",
	"powershell": "  mediator completion powershell | Out-String | Invoke-Expression",
	"zsh":        "  source <(mediator completion zsh)",
}

// addCompletion adds the command that cobra has for the completion of command lines, with the help and the errors of ours.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		newParent(cmd)
		cmd.Short = "Prints what lets a shell complete command lines"
		cmd.Long = "Prints a script that lets a shell complete the names of commands and flags."
		cmd.Example = completionUses["bash"]
		for _, shell := range cmd.Commands() {
			shell.Short, shell.Example = "Prints it for "+shell.Name(), completionUses[shell.Name()]
		}
	}
}

// newParent completes a command that only has others below it.
func newParent(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return notACommand(cmd, args[0])
	}
	return cmd
}

// newHelpCommand is the command that shows the help of the others.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Shows the help of a command",
		Long:  "Shows the help of a command, as --help does behind it.",
		Example: `  mediator help serve
  mediator help config check`,
		ValidArgsFunction: root.ValidArgsFunction,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return notACommand(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// arguments wants as many arguments as there are names.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch extra := len(args) - len(names); {
		case extra < 0:
			return usageOf(cmd, "%s is missing", names[len(args)])
		case extra > 0 && cmd.HasAvailableSubCommands():
			return notACommand(cmd, args[len(names)])
		case extra > 0 && slices.Contains(names, "TEXT"):
			return usageOf(cmd, "%q is one argument too many; quote a text with spaces in it", args[len(names)])
		case extra > 0:
			return usageOf(cmd, "%q is one argument too many; leave it out", args[len(names)])
		}
		return nil
	}
}

func newVersionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Tells which build this is",
		Long:  "Prints the version of this program, and that of the Go it was built with.",
		Example: `  mediator version
  mediator version --json`,
		Args: arguments(),
	}
	json := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return (&printer{json: *json, out: cmd.OutOrStdout()}).print(build{"version", moduleVersion(), runtime.Version()})
	}
	return cmd
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
