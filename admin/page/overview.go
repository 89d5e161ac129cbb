package page

import (
	"context"
	"time"

	"openmediator/d2m"
)

// Source is the server that a page shows. Its methods are called by several goroutines.
type Source interface {
	// Vitals tells how the server is. It is asked each second, whether anybody watches or not.
	Vitals() Vitals

	// Groups calls each with every group, until ctx ends or each returns an error, and may take its time.
	Groups(ctx context.Context, each func(Group) error) error

	// Drop drops a device by the pseudonyms of its group and its slot. It returns when that is durable, and reports whether
	// there was such a slot.
	Drop(ctx context.Context, group, device string) (found bool, err error)

	// Drain begins to drain the server, and returns.
	Drain()
}

// State is how far a server is.
type State string

const (
	Ready    State = "ready"
	NotReady State = "not ready" // the checks say why
	Draining State = "draining"
)

// Vitals are a server's figures at a moment. Those that count up do so from its start.
type Vitals struct {
	State   State     `json:"state"`
	Checks  []Check   `json:"checks"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`

	Connections  int                      `json:"connections"`
	LoggedIn     int                      `json:"logged_in"` // of the connections
	Transactions int                      `json:"transactions"`
	ChatSessions int                      `json:"chat_sessions"`
	Reflected    uint64                   `json:"-"` // messages since the start
	Closes       map[d2m.CloseCode]uint64 `json:"-"` // by the server since the start

	StoreUsed    int64         `json:"store_used"`  // bytes
	StoreLimit   int64         `json:"store_limit"` // bytes; 0: not known
	Certificates []Certificate `json:"certificates"`
}

// Check is something that decides whether a server is ready, or that is good to know.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// Certificate is one that the server shows to devices.
type Certificate struct {
	Name  string    `json:"name"` // a host it is for
	Until time.Time `json:"until"`
}

// Group is a device group. It is named by its pseudonym, which changes with each start of the server, and by nothing else.
type Group struct {
	Name     string     `json:"name"`
	Messages int        `json:"messages"` // that wait for some device
	Bytes    int64      `json:"bytes"`    // of their envelopes
	Oldest   *time.Time `json:"oldest"`   // when the oldest of them was accepted; nil if there is none
	Seen     time.Time  `json:"seen"`     // when a device was last connected
	Locked   bool       `json:"locked"`   // a transaction is under way
	Devices  []Device   `json:"devices"`  // in the order in which they registered
}

// Device is a device slot.
type Device struct {
	Name      string     `json:"name"` // pseudonym of the slot, by which Drop knows it
	Connected bool       `json:"connected"`
	Leads     bool       `json:"leads"`
	Since     time.Time  `json:"since"` // of the login if it is connected, else of the leaving
	Messages  int        `json:"messages"`
	Bytes     int64      `json:"bytes"`
	Oldest    *time.Time `json:"oldest"`
}

// vitalsEvent is what the page gets each second.
type vitalsEvent struct {
	At time.Time `json:"at"`
	Vitals
	Rates  []int        `json:"rates"` // reflected messages in each of the last seconds, the newest last
	Closes []closeCount `json:"closes"`
}

// closeCount is how often a close code was used in the last hour.
type closeCount struct {
	Code    d2m.CloseCode `json:"code"`
	Count   uint64        `json:"count"`
	Meaning string        `json:"meaning"`
	Advice  string        `json:"advice"`
	Look    bool          `json:"look"` // it is worth a look
}

// groupsEvent is what the page gets when all groups have been looked at.
type groupsEvent struct {
	At        time.Time  `json:"at"`
	Count     int        `json:"count"` // of all groups
	Devices   int        `json:"devices"`
	Connected int        `json:"connected"` // of the devices
	Messages  int        `json:"messages"`
	Bytes     int64      `json:"bytes"`
	Oldest    *time.Time `json:"oldest"`
	Groups    []Group    `json:"groups"` // MaxGroups of them
	Failed    string     `json:"failed"` // why the look was not finished; empty if it was
}
