package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// settings are what a run is made of.
type settings struct {
	seed     uint64
	duration time.Duration // of the load; groups that are there then are finished
	groups   int           // at a time
	rate     int           // Reflects per second of all groups together, about
	life     time.Duration // of a group, on average
	calm     time.Duration // between two things that happen to the server, on average
	faults   faults
	soak     bool // one life of the server, which has to hold in the end what it held before

	attackers int // strangers at a time, in every other period

	binary    string // the server's; empty: built from this module
	data      string // directory; empty: one of its own, which goes with a run that finds nothing
	asJSON    bool
	breakOne  bool // take a message out of a history
	keepGoing bool
}

// The server's settings, small enough for the limits to be reached.
const (
	maxSlots         = 6
	maxQueueMessages = 1000
	maxQueueBytes    = 8 << 20
	maxStagedBytes   = 256 << 10 // of one transaction
)

// serverSettings is the environment of the server, whose chat server is at an address.
func serverSettings(parrot string) []string {
	return []string{
		fmt.Sprintf("MEDIATOR_MAX_SLOTS=%d", maxSlots),
		fmt.Sprintf("MEDIATOR_MAX_QUEUE_MESSAGES=%d", maxQueueMessages),
		fmt.Sprintf("MEDIATOR_MAX_QUEUE_BYTES=%d", maxQueueBytes),
		fmt.Sprintf("MEDIATOR_MAX_TRANSACTION_BYTES=%d", maxStagedBytes),
		"MEDIATOR_UPSTREAM=" + chatServers(parrot),
	}
}

// parseFlags reads the command line. What is wrong with it goes to out.
func parseFlags(arguments []string, out io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(out)
	minutes := flags.Float64("minutes", 1, "how long there is load")
	seed := flags.Uint64("seed", 0, "what devices and faults do; 0 draws one")
	flags.IntVar(&s.groups, "groups", 200, "device groups at a time")
	flags.IntVar(&s.rate, "rate", 6000, "Reflects per second that are attempted in all")
	flags.DurationVar(&s.life, "life", 20*time.Second, "how long a group lives, on average")
	flags.DurationVar(&s.calm, "calm", 4*time.Second, "how long the server is left alone, on average")
	names := flags.String("faults", "all", "all, none, or some of "+strings.Join(faultNames, ","))
	flags.BoolVar(&s.soak, "soak", false, "let the server live, and see that it holds no more in the end than after a tenth of the time")
	flags.IntVar(&s.attackers, "attackers", 0, "strangers that attack the server at a time, in every other 10 s")
	flags.StringVar(&s.binary, "binary", "", "the server; built from this module if empty")
	flags.StringVar(&s.data, "data", "", "the server's data directory; a new one if empty")
	flags.BoolVar(&s.asJSON, "json", false, "print progress and summary as JSON, one object per line")
	flags.BoolVar(&s.breakOne, "break", false, "take a delivered message out of a history: the run has to fail")
	flags.BoolVar(&s.keepGoing, "keep-going", false, "do not end with the first finding")
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	s.seed = *seed
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	s.duration = time.Duration(*minutes * float64(time.Minute))
	err := s.validate(flags.Args())
	if err == nil {
		s.faults, err = parseFaults(*names, s.soak)
	}
	if err != nil {
		fmt.Fprintln(out, err)
	}
	return s, err
}

func (s *settings) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("arguments: %q is not expected", rest[0])
	case s.duration <= 0:
		return fmt.Errorf("minutes: %v is not above 0", s.duration.Minutes())
	case s.groups < 1:
		return fmt.Errorf("groups: %d is below 1", s.groups)
	case s.rate < 1:
		return fmt.Errorf("rate: %d is below 1", s.rate)
	case s.attackers < 0:
		return fmt.Errorf("attackers: %d is negative", s.attackers)
	case s.calm <= 0:
		return fmt.Errorf("calm: %v is not above 0", s.calm)
	case s.life < time.Second:
		return fmt.Errorf("life: %v is below 1s", s.life)
	}
	return nil
}

// faults says which faults there are.
type faults map[string]bool

var faultNames = []string{"kill", "term", "stop", "delay", "cut", "swallow", "slow", "drops", "duplicates", "limits"}

// parseFaults reads a list of faults; all are those that there can be in a soak, or else anywhere.
func parseFaults(names string, soak bool) (faults, error) {
	possible := faultNames
	if soak {
		possible = soakFaults
	}
	f := make(faults)
	switch names {
	case "none", "":
		return f, nil
	case "all":
		names = strings.Join(possible, ",")
	}
	for name := range strings.SplitSeq(names, ",") {
		switch {
		case !slices.Contains(faultNames, name):
			return nil, fmt.Errorf("faults: there is none called %q", name)
		case !slices.Contains(possible, name):
			return nil, fmt.Errorf("faults: %s ends or halts the server, which lives on in a soak", name)
		}
		f[name] = true
	}
	return f, nil
}

// String implements fmt.Stringer.
func (f faults) String() string {
	var names []string
	for _, name := range faultNames {
		if f[name] {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}
