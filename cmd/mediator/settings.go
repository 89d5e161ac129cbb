package main

import (
	"github.com/rs/zerolog"

	"openmediator/mediator"
)

// settings are the values of the table.
type settings struct {
	// serve
	listen         []address
	allowPlaintext bool
	data           string
	storeBytes     int64 // 0: 80 % of the file system
	logLevel       zerolog.Level
	server         mediator.Config

	// device
	device string
	url    string // empty: the one in the device file
	json   bool
}

// setting is one row of the table.
type setting struct {
	name      string              // of the flag; the variable is MEDIATOR_ and the same in capitals
	of        audience            // which commands have it
	kind      kind                // how its text is read
	unit      string              // of a count: what is counted
	byDefault string              // as text; if empty, text says what holds
	low, high string              // the range, both included; empty for a kind that has none
	zero      string              // what 0 means, if it is allowed outside the range
	text      string              // for --help
	field     func(*settings) any // where the value goes
}

// audience says whose a setting is.
type audience uint8

const (
	ofServe audience = iota
	ofDevice
	ofDeviceFile // all device commands but the one that makes the file
)

// kind is how the text of a setting is read.
type kind string

const (
	kindAddresses kind = "address"
	kindPath      kind = "path"
	kindURL       kind = "URL"
	kindSwitch    kind = "switch"
	kindLevel     kind = "level"
	kindPrivacy   kind = "privacy"
	kindCount     kind = "count"
	kindBytes     kind = "bytes"
	kindDuration  kind = "duration"
)

// table holds all settings there are.
var table = []setting{
	{name: "listen", of: ofServe, kind: kindAddresses, byDefault: "ws://127.0.0.1:8440",
		text: "where to accept connections: ws://HOST:PORT, HOST:PORT for short, or unix:PATH; may be repeated, " +
			"or hold several with commas between",
		field: func(s *settings) any { return &s.listen }},
	{name: "allow-plaintext", of: ofServe, kind: kindSwitch, byDefault: "false",
		text: "allow an address that other machines reach, although connections are not encrypted: for a proxy " +
			"in front that does TLS",
		field: func(s *settings) any { return &s.allowPlaintext }},
	{name: "data", of: ofServe, kind: kindPath,
		text: "directory of what is stored, made if it is not there (default $XDG_STATE_HOME/mediator, else " +
			"~/.local/state/mediator)",
		field: func(s *settings) any { return &s.data }},
	{name: "log-level", of: ofServe, kind: kindLevel, byDefault: "info",
		text:  "how much to log",
		field: func(s *settings) any { return &s.logLevel }},
	{name: "privacy", of: ofServe, kind: kindPrivacy, byDefault: "strict",
		text: "what the log may say of users: nothing, a pseudonym per group that changes with each start, or " +
			"groups and addresses",
		field: func(s *settings) any { return &s.server.Privacy }},

	{name: "max-connections", of: ofServe, kind: kindCount, unit: "connections", byDefault: "50000",
		low: "1", high: "10000000",
		text:  "connections at once",
		field: func(s *settings) any { return &s.server.MaxConnections }},
	{name: "max-slots", of: ofServe, kind: kindCount, unit: "device slots", byDefault: "10",
		low: "1", high: "15",
		text:  "devices of a group",
		field: func(s *settings) any { return &s.server.Group.MaxSlots }},
	{name: "max-queue-messages", of: ofServe, kind: kindCount, unit: "messages", byDefault: "100000",
		low: "1", high: "100000000",
		text:  "messages that wait for one device; one for which more wait loses its slot",
		field: func(s *settings) any { return &s.server.Group.QueueMessages }},
	{name: "max-queue-bytes", of: ofServe, kind: kindBytes, byDefault: "256MiB",
		low: "64KiB", high: "1TiB",
		text:  "bytes that wait for one device; one for which more wait loses its slot",
		field: func(s *settings) any { return &s.server.Group.QueueBytes }},
	{name: "max-group-bytes", of: ofServe, kind: kindBytes, byDefault: "1GiB",
		low: "64KiB", high: "16TiB",
		text:  "bytes that wait in one group; beyond them nothing is taken from it",
		field: func(s *settings) any { return &s.server.Group.GroupBytes }},
	{name: "max-transaction-bytes", of: ofServe, kind: kindBytes, byDefault: "8MiB",
		low: "128KiB", high: "1GiB",
		text:  "bytes reflected in one transaction, kept in memory until its commit; a device that exceeds them is closed",
		field: func(s *settings) any { return &s.server.Group.StagedBytes }},
	{name: "max-staged-bytes", of: ofServe, kind: kindBytes, byDefault: "256MiB",
		low: "128KiB", high: "64GiB",
		text:  "bytes of them in all groups together",
		field: func(s *settings) any { return &s.server.StagedBytes }},
	{name: "max-store-bytes", of: ofServe, kind: kindBytes, byDefault: "0",
		low: "1MiB", high: "1024TiB", zero: "80 % of the file system",
		text:  "bytes of the whole store; beyond them nothing is taken, and from seven eighths on no new group",
		field: func(s *settings) any { return &s.storeBytes }},
	{name: "cache-bytes", of: ofServe, kind: kindBytes, byDefault: "64MiB",
		low: "0", high: "64GiB",
		text:  "bytes of lately stored messages kept in memory",
		field: func(s *settings) any { return &s.server.TailBytes }},
	{name: "cache-group-bytes", of: ofServe, kind: kindBytes, byDefault: "256KiB",
		low: "0", high: "1GiB",
		text:  "bytes of them for one group",
		field: func(s *settings) any { return &s.server.Group.TailBytes }},

	{name: "volatile-expiry", of: ofServe, kind: kindDuration, byDefault: "10m",
		low: "1s", high: "8760h",
		text:  "how long a volatile slot outlives its connection",
		field: func(s *settings) any { return &s.server.Group.VolatileExpiry }},
	{name: "max-absence", of: ofServe, kind: kindDuration, byDefault: "0",
		low: "1m", high: "87600h", zero: "for ever",
		text:  "how long a persistent slot outlives its connection",
		field: func(s *settings) any { return &s.server.Group.MaxAbsence }},
	{name: "max-transaction-ttl", of: ofServe, kind: kindDuration, byDefault: "30m",
		low: "1s", high: "24h",
		text:  "how long a transaction may hold the lock of its group",
		field: func(s *settings) any { return &s.server.Group.MaxTTL }},
	{name: "handshake-timeout", of: ofServe, kind: kindDuration, byDefault: "15s",
		low: "1s", high: "1h",
		text:  "how long a device may take to log in",
		field: func(s *settings) any { return &s.server.HandshakeTimeout }},
	{name: "ping-interval", of: ofServe, kind: kindDuration, byDefault: "25s",
		low: "1s", high: "1h",
		text:  "time between two pings to a connection",
		field: func(s *settings) any { return &s.server.PingInterval }},
	{name: "stall-timeout", of: ofServe, kind: kindDuration, byDefault: "1m",
		low: "1s", high: "1h",
		text:  "how long a device may neither take what waits for it nor send anything",
		field: func(s *settings) any { return &s.server.StallTimeout }},

	{name: "device", of: ofDeviceFile, kind: kindPath,
		text:  "the device file, as made by \"mediator device new\" (required)",
		field: func(s *settings) any { return &s.device }},
	{name: "server", of: ofDevice, kind: kindURL,
		text: "the server, ws://HOST:PORT with any path, or wss:// (default the one in the device file, at first " +
			defaultServer + ")",
		field: func(s *settings) any { return &s.url }},
	{name: "json", of: ofDevice, kind: kindSwitch, byDefault: "false",
		text:  "print one JSON object per line",
		field: func(s *settings) any { return &s.json }},
}

// defaultServer is where a server without configuration listens.
const defaultServer = "ws://127.0.0.1:8440"

// newSettings returns what holds where no row says anything.
func newSettings() *settings { return &settings{server: mediator.DefaultConfig()} }
