package main

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

const logTime = "2006-01-02T15:04:05.000Z07:00"

// newLog returns a log for people if it goes to a terminal, else one JSON object per line.
func newLog(out io.Writer, level zerolog.Level) zerolog.Logger {
	zerolog.TimeFieldFormat = logTime
	if isTerminal(out) {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
