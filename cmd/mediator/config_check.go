package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"openmediator/reflect/boltstore"
)

// checkTimeout is for all checks together.
const checkTimeout = 15 * time.Second

// check tries something that the server needs. It changes nothing.
type check struct {
	name string
	run  func(context.Context, *inspection) []finding
}

// checks are made in this order.
var checks = []check{
	{"variables", checkVariables},
	{"data", checkData},
	{"listen", checkListen},
	{"admin", checkAdmin},
	{"tls", checkCertificate},
	{"access", checkAccess},
	{"upstream", checkUpstream},
}

// inspection is what checks know.
type inspection struct {
	*settings
	running bool // a server uses the data directory
}

// finding is what a check has found.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warn or fail
	Text   string `json:"text"`   // one sentence; with the way out if it is not ok

	// of a wrong setting, as far as it has them
	Setting string `json:"setting,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"` // bytes, from 1

	excerpt string
}

const (
	resultOK   = "ok"
	resultWarn = "warn" // the server runs, but is it meant?
	resultFail = "fail" // the server does not start, or does not do what it is there for
)

func found(result, format string, args ...any) []finding {
	return []finding{{Result: result, Text: fmt.Sprintf(format, args...)}}
}

func newConfigCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Checks the configuration, and what the server needs",
		Long: `Reads the configuration as "mediator serve" with the same flags and variables would, and tries what the server will need:
whether the data directory can be written to and has room, the addresses are free, the TLS certificate fits its key and is valid, and the
chat servers can be reached. It changes nothing. Each line begins with ok, warn or fail.

Exit codes:
  0  nothing failed; there may be warnings
  1  something failed that the server needs
  2  a setting is wrong; nothing else was tried
`,
		Example: `  mediator config check
  mediator config check --config mediator.toml --json
  mediator config check --listen 127.0.0.1:9000 --data /var/lib/mediator`,
		Args: arguments(),
	}
	src := addSettings(cmd, os.LookupEnv, serverSettings...)
	asJSON := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
		defer cancel()
		s, err := src.load()
		findings := findingsOf(err)
		if err == nil {
			findings = inspect(ctx, s)
		}
		if printed := printFindings(cmd.OutOrStdout(), findings, *asJSON); printed != nil {
			return printed
		}
		failed := 0
		for _, f := range findings {
			if f.Result == resultFail {
				failed++
			}
		}
		switch {
		case err != nil:
			return usage("config check: %d wrong", failed)
		case failed > 0:
			return fmt.Errorf("config check: %d failed", failed)
		}
		return nil
	}
	return cmd
}

// findingsOf are those of a configuration that is wrong.
func findingsOf(err error) (findings []finding) {
	var wrong settingsError
	if err != nil && !errors.As(err, &wrong) {
		return []finding{{Check: "settings", Result: resultFail, Text: err.Error()}}
	}
	for i := range wrong {
		p := &wrong[i]
		f := finding{Check: "settings", Result: resultFail, Text: p.String(), Setting: p.setting, excerpt: p.excerpt()}
		if p.file != nil {
			f.File, f.Line, f.Column = p.file.path, p.at.line, p.at.start+1
		}
		findings = append(findings, f)
	}
	return findings
}

// inspect makes all checks of settings that are right.
func inspect(ctx context.Context, s *settings) []finding {
	set := 0
	for _, v := range s.values {
		if v.from != fromTable {
			set++
		}
	}
	where := "no file is read"
	if s.file != "" {
		where = s.file + " is read"
	}
	findings := []finding{{Check: "settings", Result: resultOK, Text: fmt.Sprintf("%d of %d are set, and right; %s", set, len(s.values), where)}}
	i := &inspection{settings: s}
	for _, c := range checks {
		for _, f := range c.run(ctx, i) {
			f.Check = c.name
			findings = append(findings, f)
		}
	}
	return findings
}

func printFindings(out io.Writer, findings []finding, asJSON bool) error {
	for _, f := range findings {
		line := fmt.Sprintf("%-4s  %-11s  %s", f.Result, f.Check, plainly(f.Text))
		if asJSON {
			text, err := printableJSON(f)
			if err != nil {
				return err
			}
			line, f.excerpt = text, ""
		}
		if _, err := fmt.Fprintf(out, "%s\n%s", line, f.excerpt); err != nil {
			return err
		}
	}
	return nil
}

func checkVariables(context.Context, *inspection) []finding {
	unknown := unknownVariables(os.Environ())
	if len(unknown) == 0 {
		return found(resultOK, "none looks like a setting and is none")
	}
	var all []finding
	for _, name := range unknown {
		all = append(all, found(resultWarn, "%s is not a setting%s", name, suggestion(name))...)
	}
	return all
}

func checkData(_ context.Context, i *inspection) []finding {
	dir, err := i.dataDirectory()
	if err != nil {
		return found(resultFail, "%v", err)
	}
	switch err := boltstore.Check(dir); {
	case errors.Is(err, boltstore.ErrInUse):
		i.running = true
		return found(resultWarn, "%s is in use by a server: if it is this one, reload it; else name another directory with --data", dir)
	case err != nil:
		return found(resultFail, "%v", notOpened(fmt.Errorf("%s: %w", dir, reason(err))))
	}
	return found(resultOK, "%s can be written to", dir)
}

func checkListen(_ context.Context, i *inspection) (all []finding) {
	for _, a := range i.listen {
		if a.network == "systemd" {
			all = append(all, found(resultOK, "%v is for systemd to open", a)...)
			continue
		}
		resolved, err := a.resolve(i.allowPlaintext)
		if err == nil {
			err = resolved.isFree()
		}
		switch {
		case err == nil:
			all = append(all, found(resultOK, "%v is free", a)...)
		case errors.Is(err, errInUse) && i.running:
			all = append(all, found(resultWarn, "%v is in use, probably by the server that uses the data directory", a)...)
		default:
			result := resultFail
			if errors.Is(err, errNoDirectory) {
				result = resultWarn
			}
			all = append(all, found(result, "%s", strings.TrimPrefix(err.Error(), "listen: "))...)
		}
	}
	return all
}

func checkUpstream(ctx context.Context, i *inspection) []finding {
	chat := i.server.Chat
	if chat.Upstreams.Empty() {
		return found(resultWarn, "there is no chat server, and devices that ask for one are closed; name one with --upstream")
	}
	addresses := chat.Upstreams.Addresses()
	if len(addresses) == 0 {
		return found(resultOK, "the address depends on the server group of the device, and was not tried")
	}
	all := make([]finding, len(addresses))
	var tries sync.WaitGroup
	for n, address := range addresses {
		tries.Go(func() {
			switch err := chat.Try(ctx, address); {
			case errors.Is(err, syscall.EADDRNOTAVAIL) && i.local.IsValid():
				all[n] = found(resultFail, "upstream-local %v is not an address of this machine; name one that is, or leave it out", i.local)[0]
			case err != nil:
				all[n] = found(resultFail, "%s cannot be reached: %v; is it running, and is this its address?", address, cause(err))[0]
			default:
				all[n] = found(resultOK, "%s can be reached", address)[0]
			}
		})
	}
	tries.Wait()
	return all
}
