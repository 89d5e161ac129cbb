package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/rs/zerolog"

	"openmediator/certificates"
	"openmediator/mediator"
)

// hangups are the requests to reload: SIGHUP. The signal is taken from the start of the server on, for it would end the
// process otherwise.
type hangups struct {
	requests chan os.Signal
	terminal io.Writer // of the log, if it goes to one; else nil
}

func takeHangups(logTo io.Writer) *hangups {
	h := &hangups{requests: make(chan os.Signal, 1)}
	if isTerminal(logTo) {
		h.terminal = logTo
	}
	signal.Notify(h.requests, syscall.SIGHUP)
	return h
}

// terminalIsGone says whether the signal was sent because the terminal has been closed that the server runs in.
func (h *hangups) terminalIsGone() bool { return h.terminal != nil && !isTerminal(h.terminal) }

func (h *hangups) close() { signal.Stop(h.requests) }

// reloader puts other settings in place while the server runs.
type reloader struct {
	settings *settings // those that hold
	current  *atomic.Pointer[settings]
	server   *mediator.Server
	source   certificates.Source // of the TLS certificate; nil without TLS
	log      zerolog.Logger
}

// obey reloads at each hangup until what it returns is called. If the terminal is gone it calls end.
func (h *hangups) obey(r *reloader, end func()) (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stopping:
				return
			case <-h.requests:
				if h.terminalIsGone() {
					end()
					return
				}
				r.reload()
			}
		}
	}()
	return func() {
		close(stopping)
		<-stopped
	}
}

// reload reads all sources again and puts what has changed in place: all of it, or nothing. The log says which.
func (r *reloader) reload() {
	next, err := r.settings.sources.load()
	if err != nil {
		r.refuse(err)
		return
	}
	changed := r.settings.changes(next)
	fixed := slices.DeleteFunc(slices.Clone(changed), func(row *setting) bool { return row.restart == "" })
	for _, row := range fixed {
		r.log.Error().Str("setting", row.name).Str("from", next.originOf(row)).Str("cause", row.restart).
			Msg("setting differs that cannot change while the server runs: restart the server, or take the change back")
	}
	if len(fixed) > 0 {
		r.log.Error().Int("wrong", len(fixed)).Msg("configuration not reloaded: nothing has changed")
		return
	}
	next.keep(r.settings)
	err = next.fit()
	if err == nil {
		err = r.server.Reconfigure(next.server)
	}
	if err != nil {
		r.refuse(err)
		return
	}
	zerolog.SetGlobalLevel(next.logLevel)
	if r.source != nil {
		r.source.Reload()
	}
	r.settings = next
	r.current.Store(next)
	names := make([]string, 0, len(changed))
	for _, row := range changed {
		names = append(names, row.name)
	}
	r.log.Info().Str("file", next.file).Strs("changed", names).Msg("configuration reloaded")
}

// keep takes over what the start has added to the server's configuration and no setting says.
func (s *settings) keep(running *settings) {
	s.server.Log, s.server.Access = running.server.Log, running.server.Access
}

// refuse logs why nothing has changed.
func (r *reloader) refuse(err error) {
	var wrong settingsError
	if !errors.As(err, &wrong) {
		wrong = settingsError{{text: err.Error()}}
	}
	for i := range wrong {
		r.log.Error().Str("cause", wrong[i].String()).Msg("setting is wrong: put it right, and reload again")
	}
	r.log.Error().Int("wrong", len(wrong)).Msg("configuration not reloaded: nothing has changed")
}

// changes returns the rows whose values differ.
func (s *settings) changes(next *settings) (rows []*setting) {
	for i := range table {
		row := &table[i]
		old, read := s.values[row.name]
		if read && row.plain(old.text) != row.plain(next.values[row.name].text) {
			rows = append(rows, row)
		}
	}
	return rows
}

// plain returns the same for two texts of a setting that mean the same, mostly.
func (r *setting) plain(text string) string {
	if r.low != "" {
		if n, err := r.kind.number(text); err == nil {
			return strconv.FormatInt(n, 10)
		}
	}
	if r.kind == kindSwitch {
		if on, err := parseSwitch(text); err == nil {
			return strconv.FormatBool(on)
		}
	}
	if r.kind.isList() {
		return strings.Join(splitList(text), ",")
	}
	return text
}

// originOf says where the value of a setting comes from.
func (s *settings) originOf(row *setting) string {
	switch v := s.values[row.name]; v.from {
	case fromFlag:
		return "--" + row.flagName()
	case fromVariable:
		return row.variable()
	case fromFile:
		return v.file.path + ":" + strconv.Itoa(v.at.line)
	}
	return "default"
}
