package main

import (
	"io/fs"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"openmediator/access"
	"openmediator/certificates"
	"openmediator/chatproxy"
	"openmediator/mediator"
)

// settings are the values of the table.
type settings struct {
	// serve
	config         string // empty: the one in /etc, if it is there
	listen         []address
	allowPlaintext bool
	unixMode       fs.FileMode // of sockets; 0: as the umask leaves it
	tls            tlsSettings
	data           string
	storeBytes     int64 // 0: 80 % of the file system
	compactEvery   time.Duration
	logLevel       zerolog.Level

	upstream        []string
	upstreamPattern string
	socks           socksProxy
	local           netip.Addr
	server          mediator.Config

	access     access.Mode
	accessList string
	publicURL  string

	admin          adminAddress
	adminPlaintext bool

	// chatserver
	chat chatSettings

	// device
	device string
	url    string // empty: the one in the device file
	ca     string // empty: the one in the device file, or the system's
	pin    string // empty: any key
	json   bool

	// of the reading
	sources *sources
	file    string // that was read; empty: none
	values  values
}

// setting is one row of the table. A new row says in restart why it takes one, or is applied by a reload (reload.go). Add
// what contradicts other settings to relations, and what can be tried beforehand to checks.
type setting struct {
	section   string              // of the documentation, if one begins with this row
	name      string              // of the flag; the variable is MEDIATOR_ and the same in capitals
	flag      string              // of the flag, where another command has one with that name already
	of        audience            // which commands have it
	kind      kind                // how its text is read
	unit      string              // of a count: what is counted
	byDefault string              // as text; if empty, text says what holds
	low, high string              // the range, both included; empty for a kind that has none
	zero      string              // what 0 means, if it is allowed outside the range
	text      string              // for --help and the documentation
	restart   string              // why a change takes a restart; empty: SIGHUP is enough
	notInFile bool                // may stand in no configuration file
	field     func(*settings) any // where the value goes
}

// audience says whose a setting is.
type audience uint8

const (
	ofConfig audience = iota // the commands that read a configuration file: serve, and those that look after its server
	ofServe
	ofDevice
	ofDeviceFile // all device commands but the one that makes the file
	ofChatServer
)

// serverSettings are those that may stand in a configuration file: all that serve has. A command that reads the file takes
// ofConfig and those that it needs.
var serverSettings = []audience{ofConfig, ofServe}

// kind is how the text of a setting is read.
type kind string

const (
	kindAddresses kind = "address"
	kindPath      kind = "path"
	kindMode      kind = "mode"
	kindDomains   kind = "domain"
	kindEmail     kind = "email"
	kindPin       kind = "pin"
	kindURL       kind = "URL"
	kindSwitch    kind = "switch"
	kindLevel     kind = "level"
	kindPrivacy   kind = "privacy"
	kindTime      kind = "time"
	kindAccess    kind = "access"
	kindPeers     kind = "peers"
	kindHeader    kind = "header"
	kindUpstream  kind = "upstream"
	kindPattern   kind = "pattern"
	kindProxy     kind = "proxy"
	kindIP        kind = "IP"
	kindHostPort  kind = "host:port"
	kindAdmin     kind = "admin address"
	kindCount     kind = "count"
	kindBytes     kind = "bytes"
	kindDuration  kind = "duration"
)

// isList says whether there may be several values: flags may be repeated, variables have commas, files have arrays.
func (k kind) isList() bool {
	return k == kindAddresses || k == kindDomains || k == kindUpstream || k == kindPeers
}

// Why a change takes a restart.
const (
	restartListeners = "the listeners are opened at the start"
	restartTLS       = "where certificates come from is chosen with it; what the files hold is read again without"
	restartStore     = "the store is opened with it"
	restartAccess    = "the access list is opened with it, and read again when it changes"
)

// table holds all settings there are.
var table = []setting{
	{section: "Where things are",
		name: "config", of: ofConfig, kind: kindPath, notInFile: true,
		text: "configuration file with lines such as \"max-slots = 10\", see mediator config; empty for none (default " +
			defaultConfigFile + " if it is there)",
		restart: "it is named at the start",
		field:   func(s *settings) any { return &s.config }},
	{name: "listen", of: ofServe, kind: kindAddresses, byDefault: "ws://127.0.0.1:8440",
		text: "where to accept connections: ws://HOST:PORT, HOST:PORT for short; wss://HOST:PORT with TLS; unix:PATH; or " +
			"systemd:NAME, systemd+tls:NAME, the sockets of that name that systemd passes, or without a name all; may be " +
			"repeated, or hold several with commas between",
		restart: restartListeners,
		field:   func(s *settings) any { return &s.listen }},
	{name: "allow-plaintext", of: ofServe, kind: kindSwitch, byDefault: "false",
		text: "allow an address that other machines reach, although connections are not encrypted: for a proxy " +
			"in front that does TLS",
		restart: restartListeners,
		field:   func(s *settings) any { return &s.allowPlaintext }},
	{name: "data", of: ofServe, kind: kindPath,
		text: "directory of what is stored, made if it is not there (default $XDG_STATE_HOME/mediator, else " +
			"~/.local/state/mediator)",
		restart: "it is in use until the end",
		field:   func(s *settings) any { return &s.data }},
	{name: "unix-mode", of: ofServe, kind: kindMode,
		text: "permissions of unix sockets, octal: 0660 lets the group of the server's user connect, such as a proxy (default as " +
			"the umask leaves them)",
		restart: restartListeners,
		field:   func(s *settings) any { return &s.unixMode }},

	{section: "Encryption",
		name: "tls-cert", of: ofServe, kind: kindPath,
		text: "PEM file with the certificate for wss://, and behind it who signed it; looked at all the time, and taken up when " +
			"it has changed and fits its key (default none)",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.cert }},
	{name: "tls-key", of: ofServe, kind: kindPath,
		text:    "PEM file with the private key of tls-cert; may be the same file (default none)",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.key }},
	{name: "acme-domain", of: ofServe, kind: kindDomains,
		text: "host name to have a certificate made for, by an authority such as Let's Encrypt that connects to port 443 of it; " +
			"may be repeated, or hold several with commas between (default none)",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.domains }},
	{name: "acme-accept-terms", of: ofServe, kind: kindSwitch, byDefault: "false",
		text:    "accept the authority's terms of service (required with acme-domain)",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.acceptTerms }},
	{name: "acme-email", of: ofServe, kind: kindEmail,
		text:    "where the authority may write if something is wrong (default nowhere)",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.email }},
	{name: "acme-directory", of: ofServe, kind: kindURL, byDefault: certificates.DefaultDirectory,
		text:    "URL of the authority's ACME directory",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.directory }},
	{name: "acme-ca", of: ofServe, kind: kindPath,
		text:    "PEM file with the certificates to trust when speaking with the authority, for one of your own (default the system's)",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.roots }},
	{name: "tls-dev", of: ofServe, kind: kindSwitch, byDefault: "false",
		text:    "have the certificate made by an authority of this server's own, which clients have to be told to trust: for trying out",
		restart: restartTLS,
		field:   func(s *settings) any { return &s.tls.development }},

	{section: "What the log says",
		name: "log-level", of: ofServe, kind: kindLevel, byDefault: "info",
		text:  "how much to log",
		field: func(s *settings) any { return &s.logLevel }},
	{name: "privacy", of: ofServe, kind: kindPrivacy, byDefault: "strict",
		text: "what the log may say of users: nothing, a pseudonym per group that changes with each start, or " +
			"groups and addresses",
		field: func(s *settings) any { return &s.server.Privacy.Level }},
	{name: "privacy-until", of: ofServe, kind: kindTime,
		text: "when privacy full ends, such as 2026-12-31T18:00:00Z, 31 days ahead at most; strict holds from then on (required " +
			"for full)",
		field: func(s *settings) any { return &s.server.Privacy.Until }},

	{section: "Watching and managing it",
		name: "admin-listen", of: ofServe, kind: kindAdmin,
		text: "where the operator can watch and manage the server over HTTP, besides the socket in the data directory: HOST:PORT, " +
			"where the token in the file admin-token in the data directory is asked for, or unix:PATH (default nowhere)",
		restart: restartListeners,
		field:   func(s *settings) any { return &s.admin }},
	{name: "admin-allow-plaintext", of: ofServe, kind: kindSwitch, byDefault: "false",
		text: "allow an admin-listen that other machines reach, although the token and all else is not encrypted: for a network " +
			"that nobody else is in, or a proxy in front that does TLS",
		restart: restartListeners,
		field:   func(s *settings) any { return &s.adminPlaintext }},

	{section: "Who may use it",
		name: "access", of: ofServe, kind: kindAccess, byDefault: "open",
		text: "who may use the server: everybody; only groups on the access list; or besides these the groups that have devices " +
			"here, and new ones with an invitation (\"mediator invite\"). A group that the list denies is never let in",
		restart: restartAccess,
		field:   func(s *settings) any { return &s.access }},
	{name: "access-list", of: ofServe, kind: kindPath,
		text: "file with a group id per line that is allowed, or \"deny\" and a group id; read again when it changes. " +
			"\"mediator group allow\" and \"deny\" edit it (default none)",
		restart: restartAccess,
		field:   func(s *settings) any { return &s.accessList }},
	{name: "public-url", of: ofServe, kind: kindURL,
		text:  "the URL that devices connect to, wss://HOST with any path: for what is printed for them (default none)",
		field: func(s *settings) any { return &s.publicURL }},

	{section: "Proxies in front",
		name: "trusted-proxies", of: ofServe, kind: kindPeers,
		text: "reverse proxies that are believed when they name the client in a header: IP addresses, prefixes such as 10.0.0.0/8, and " +
			"unix for those on unix sockets; may be repeated. It is used for the limits of addresses, and for nothing else (default none)",
		field: func(s *settings) any { return &s.server.Front.Proxies }},
	{name: "forwarded-header", of: ofServe, kind: kindHeader, byDefault: mediator.XForwardedFor,
		text:  "the header in which they do so; the other one may be the client's own, and means nothing",
		field: func(s *settings) any { return &s.server.Front.Header }},
	{name: "proxy-protocol-from", of: ofServe, kind: kindPeers,
		text: "proxies all of whose connections begin with the PROXY protocol, version 1 or 2, written like trusted-proxies; one " +
			"that does not is refused (default none)",
		field: func(s *settings) any { return &s.server.Front.ProxyProtocol }},

	{section: "Chat servers",
		name: "upstream", of: ofServe, kind: kindUpstream,
		text: "where the chat server is: HOST:PORT for all server groups; or a template such as " +
			"g-{server_group}.example.net:5222; or SERVERGROUP=HOST:PORT, which may be repeated, or several with commas " +
			"between. A device whose server group has none is closed with 4001 (default none)",
		field: func(s *settings) any { return &s.upstream }},
	{name: "upstream-pattern", of: ofServe, kind: kindPattern, byDefault: chatproxy.DefaultPattern,
		text:  "regular expression of the server groups that are put into the template",
		field: func(s *settings) any { return &s.upstreamPattern }},
	{name: "upstream-proxy", of: ofServe, kind: kindProxy,
		text: "reach chat servers through a SOCKS5 proxy, socks5h://HOST:PORT, and never around it; the proxy looks names up, " +
			"and each device group gets a user and password of its own, so that Tor gives it its own circuits (default none)",
		field: func(s *settings) any { return &s.socks }},
	{name: "upstream-local", of: ofServe, kind: kindIP,
		text:  "the address of this machine that connections to chat servers come from (default: the system decides)",
		field: func(s *settings) any { return &s.local }},
	{name: "upstream-rate", of: ofServe, kind: kindBytes, byDefault: "1MiB",
		low: "1KiB", high: "1GiB", zero: "no limit",
		text:  "bytes per second that one device may exchange with its chat server in each direction, after the first 256 KiB",
		field: func(s *settings) any { return &s.server.Chat.Rate }},

	{section: "How much one may take",
		name: "max-connections", of: ofServe, kind: kindCount, unit: "connections", byDefault: "50000",
		low: "1", high: "10000000",
		text:  "connections at once",
		field: func(s *settings) any { return &s.server.MaxConnections }},
	{name: "max-unauthenticated", of: ofServe, kind: kindCount, unit: "connections", byDefault: "0",
		low: "1", high: "10000000", zero: "a quarter of max-connections, 16 at least",
		text:  "connections at once that are not logged in; as many again may wait for the answer to their request",
		field: func(s *settings) any { return &s.server.MaxUnauthenticated }},
	{name: "max-group-connections", of: ofServe, kind: kindCount, unit: "connections", byDefault: "0",
		low: "1", high: "10000000", zero: "four times max-slots",
		text:  "connections of one group at once, those included that are being closed",
		field: func(s *settings) any { return &s.server.MaxGroupConnections }},
	{name: "max-address-connections", of: ofServe, kind: kindCount, unit: "connections", byDefault: "1000",
		low: "1", high: "10000000", zero: "no limit",
		text: "connections of one IP address (IPv6: of one /64) at once. None of the address limits holds for loopback and unix " +
			"sockets, nor for trusted proxies",
		field: func(s *settings) any { return &s.server.MaxAddressConnections }},
	{name: "max-address-unauthenticated", of: ofServe, kind: kindCount, unit: "connections", byDefault: "250",
		low: "1", high: "10000000", zero: "no limit",
		text:  "connections of one IP address at once that are not logged in; as many again may wait for their answer",
		field: func(s *settings) any { return &s.server.MaxAddressUnauthenticated }},
	{name: "max-address-upgrades", of: ofServe, kind: kindCount, unit: "connections", byDefault: "600",
		low: "1", high: "10000000", zero: "no limit",
		text:  "connections that one IP address may open, per minute",
		field: func(s *settings) any { return &s.server.MaxAddressUpgrades }},
	{name: "address-upgrade-burst", of: ofServe, kind: kindCount, unit: "connections", byDefault: "1000",
		low: "1", high: "10000000",
		text:  "connections that one IP address may open at once before max-address-upgrades counts",
		field: func(s *settings) any { return &s.server.AddressUpgradeBurst }},
	{name: "max-address-groups", of: ofServe, kind: kindCount, unit: "groups", byDefault: "60",
		low: "1", high: "10000000", zero: "no limit",
		text:  "new device groups that one IP address may register, per hour",
		field: func(s *settings) any { return &s.server.MaxAddressGroups }},
	{name: "address-group-burst", of: ofServe, kind: kindCount, unit: "groups", byDefault: "60",
		low: "1", high: "10000000",
		text:  "new device groups that one IP address may register at once before max-address-groups counts",
		field: func(s *settings) any { return &s.server.AddressGroupBurst }},

	{section: "Device groups",
		name: "max-slots", of: ofServe, kind: kindCount, unit: "device slots", byDefault: "10",
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

	{section: "Disk and memory",
		name: "max-store-bytes", of: ofServe, kind: kindBytes, byDefault: "0",
		low: "1MiB", high: "1024TiB", zero: "80 % of the file system",
		text:    "bytes of the whole store; beyond them nothing is taken, and from seven eighths on no new group",
		restart: restartStore,
		field:   func(s *settings) any { return &s.storeBytes }},
	{name: "compact-every", of: ofServe, kind: kindDuration, byDefault: "24h",
		low: "1m", high: "8760h", zero: "never",
		text: "how long the bytes of what is deleted may stay in the file; it is then replaced by a copy without them, while the " +
			"server runs",
		restart: restartStore,
		field:   func(s *settings) any { return &s.compactEvery }},
	{name: "cache-bytes", of: ofServe, kind: kindBytes, byDefault: "64MiB",
		low: "0", high: "64GiB",
		text:  "bytes of lately stored messages kept in memory",
		field: func(s *settings) any { return &s.server.TailBytes }},
	{name: "cache-group-bytes", of: ofServe, kind: kindBytes, byDefault: "256KiB",
		low: "0", high: "1GiB",
		text:  "bytes of them for one group",
		field: func(s *settings) any { return &s.server.Group.TailBytes }},

	{section: "Times",
		name: "volatile-expiry", of: ofServe, kind: kindDuration, byDefault: "10m",
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
	{name: "message-timeout", of: ofServe, kind: kindDuration, byDefault: "1m",
		low: "1s", high: "1h",
		text:  "how long a message may take to arrive, from its first frame; a slow link needs 10s for 64 KiB at 50 kbit/s",
		field: func(s *settings) any { return &s.server.MessageTimeout }},
	{name: "ping-interval", of: ofServe, kind: kindDuration, byDefault: "25s",
		low: "1s", high: "1h",
		text:  "time between two pings to a connection",
		field: func(s *settings) any { return &s.server.PingInterval }},
	{name: "stall-timeout", of: ofServe, kind: kindDuration, byDefault: "1m",
		low: "1s", high: "1h",
		text:  "how long a device may neither take what waits for it nor send anything",
		field: func(s *settings) any { return &s.server.StallTimeout }},
	{name: "drain-time", of: ofServe, kind: kindDuration, byDefault: "4s",
		low: "1s", high: "1m", zero: "all at once",
		text: "within which devices are told that the server stops, one each 10 ms or, if that would not do, faster. Those that come " +
			"back exactly 5 s later then do so as slowly; with more than 4s they would come before the next server is there",
		field: func(s *settings) any { return &s.server.DrainTime }},

	{section: "The bundled chat server",
		name: "chatserver-listen", flag: "listen", of: ofChatServer, kind: kindHostPort, byDefault: "127.0.0.1:5222",
		text:  "where to accept chat connections; they are encrypted",
		field: func(s *settings) any { return &s.chat.listen }},
	{name: "chatserver-data", flag: "data", of: ofChatServer, kind: kindPath,
		text: "directory of what is stored, made if it is not there (default $XDG_STATE_HOME/mediator/chatserver, else " +
			"~/.local/state/mediator/chatserver)",
		field: func(s *settings) any { return &s.chat.data }},
	{name: "chatserver-identities", flag: "identities", of: ofChatServer, kind: kindPath,
		text: "file with a line IDENTITY PUBLICKEYHEX for each identity, read again when it changes (default none: identities " +
			"have to register)",
		field: func(s *settings) any { return &s.chat.identities }},
	{name: "chatserver-key", flag: "key", of: ofChatServer, kind: kindPath,
		text:  "file with the server's secret key, 64 hexadecimal digits, made if it is not there (default server.key in --data)",
		field: func(s *settings) any { return &s.chat.key }},
	{name: "chatserver-http", flag: "http", of: ofChatServer, kind: kindHostPort,
		text:  "where to register identities and look them up over HTTP (default nowhere)",
		field: func(s *settings) any { return &s.chat.http }},
	{name: "chatserver-http-public", flag: "http-public", of: ofChatServer, kind: kindSwitch, byDefault: "false",
		text: "allow an --http address that other machines reach, although connections are not encrypted and whoever reaches " +
			"it may register",
		field: func(s *settings) any { return &s.chat.httpPublic }},
	{name: "chatserver-log-level", flag: "log-level", of: ofChatServer, kind: kindLevel, byDefault: "info",
		text:  "how much to log",
		field: func(s *settings) any { return &s.chat.logLevel }},

	{section: "Devices",
		name: "device", of: ofDeviceFile, kind: kindPath,
		text:  "the device file, as made by \"mediator device new\" (required)",
		field: func(s *settings) any { return &s.device }},
	{name: "server", of: ofDevice, kind: kindURL,
		text: "the server, ws://HOST:PORT with any path, or wss:// (default the one in the device file, at first " +
			defaultServer + ")",
		field: func(s *settings) any { return &s.url }},
	{name: "tls-ca", of: ofDevice, kind: kindPath,
		text: "PEM file with the authorities to trust for wss://, such as that of a server with --tls-dev (default the one in the " +
			"device file, at first the system's)",
		field: func(s *settings) any { return &s.ca }},
	{name: "tls-pin", of: ofDevice, kind: kindPin,
		text:  "pin of the server's key, as mediator pin prints it; may hold two with a comma between (default any key)",
		field: func(s *settings) any { return &s.pin }},
	{name: "json", of: ofDevice, kind: kindSwitch, byDefault: "false",
		text:  "print one JSON object per line",
		field: func(s *settings) any { return &s.json }},
}

// defaultServer is where a server without configuration listens.
const defaultServer = "ws://127.0.0.1:8440"

// newSettings returns what holds where no row says anything.
func newSettings() *settings { return &settings{server: mediator.DefaultConfig()} }

// rowOf returns the setting with this name, or nil.
func rowOf(name string) *setting {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

// flagName is the name of the flag. It is also what errors call the setting.
func (r *setting) flagName() string {
	if r.flag != "" {
		return r.flag
	}
	return r.name
}
