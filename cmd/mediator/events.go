package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// printer prints what happens, one line each. Several goroutines may use it.
type printer struct {
	json bool

	mu  sync.Mutex
	out io.Writer
}

// event is something that a device command prints. As JSON it is an object with its name in "event"; in words it is what
// String returns, whose texts of others are printable.
type event interface{ String() string }

// print writes one line.
func (p *printer) print(e event) error {
	line := e.String()
	if p.json {
		var err error
		if line, err = printableJSON(e); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintln(p.out, line)
	return err
}

// created: a device file was made.
type created struct {
	Event    string `json:"event"`
	Group    string `json:"group"`
	Device   string `json:"device"`
	Identity string `json:"identity,omitempty"` // at the chat server
}

func newCreated(f *deviceFile) created {
	e := created{Event: "created", Group: fmt.Sprintf("%x", f.keys.GroupID()), Device: formatDeviceID(f.id)}
	if f.chat != nil {
		e.Identity = f.chat.id.String()
	}
	return e
}

// String is the group id, and the identity if there is one, for scripts.
func (e created) String() string { return strings.TrimSpace(e.Group + " " + e.Identity) }

// connected: the device is registered and connected.
type connected struct {
	Event   string `json:"event"`
	Device  string `json:"device"`
	New     bool   `json:"new"`     // it has just got its slot
	Waiting uint32 `json:"waiting"` // messages
}

func newConnected(f *deviceFile, info d2m.ServerInfo) connected {
	return connected{"connected", formatDeviceID(f.id), info.SlotState == d2m.SlotNew, info.ReflectionQueueLength}
}

func (e connected) String() string {
	slot := ""
	if e.New {
		slot = ", new in its group"
	}
	return fmt.Sprintf("connected as device %s%s; messages waiting: %d", e.Device, slot, e.Waiting)
}

// disconnected: the connection has ended or could not be made again.
type disconnected struct {
	Event string `json:"event"`
	Cause string `json:"cause"`
	Retry int64  `json:"retry_ms"`
}

func newDisconnected(err error, retry time.Duration) disconnected {
	return disconnected{"disconnected", err.Error(), retry.Milliseconds()}
}

func (e disconnected) String() string {
	retry := time.Duration(e.Retry) * time.Millisecond
	return fmt.Sprintf("disconnected: %s; next attempt in %v", printable(e.Cause), retry.Round(time.Second/10))
}

// dry: all that was stored for the device has arrived.
type dry struct {
	Event string `json:"event"`
}

func (dry) String() string { return "queue is dry" }

// leader: the device leads its group.
type leader struct {
	Event string `json:"event"`
}

func (leader) String() string { return "this device leads its group" }

// message: another device has reflected something.
type message struct {
	Event     string    `json:"event"`
	From      string    `json:"from"`
	Time      time.Time `json:"time"`
	Text      string    `json:"text,omitempty"`
	Kind      string    `json:"kind,omitempty"`  // what an app has sent
	Bytes     int       `json:"bytes,omitempty"` // of it
	Ephemeral bool      `json:"ephemeral,omitempty"`
}

func newMessage(m client.Message) message {
	e := message{Event: "message", From: formatDeviceID(m.Envelope.Device), Time: m.Timestamp.UTC(), Ephemeral: m.Ephemeral}
	e.Text = m.Envelope.Text
	if m.Envelope.Kind != devicekeys.KindNone {
		e.Kind, e.Bytes = m.Envelope.Kind.String(), len(m.Envelope.Content)
	}
	return e
}

func (e message) String() string {
	line := fmt.Sprintf("%s message from %s: ", clock(e.Time), e.From)
	if e.Kind != "" {
		return line + fmt.Sprintf("%s of an app, %d bytes", e.Kind, e.Bytes)
	}
	return line + printable(e.Text)
}

// unreadable: something came that was not made with the group's key.
type unreadable struct {
	Event string `json:"event"`
	Cause string `json:"cause"`
}

func (e unreadable) String() string { return "message that cannot be read: " + printable(e.Cause) }

// reflected: the server has stored what this device reflected.
type reflected struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"` // what the others see
	Text  string    `json:"text"`
}

func newReflected(at time.Time, text string) reflected { return reflected{"reflected", at.UTC(), text} }

func (e reflected) String() string {
	return fmt.Sprintf("%s reflected: %s", clock(e.Time), printable(e.Text))
}

// waiting: another device holds the group's lock.
type waiting struct {
	Event  string `json:"event"`
	Device string `json:"device"`
	Label  string `json:"label,omitempty"`
	Scope  string `json:"scope"`
}

func (e waiting) String() string {
	label := ""
	if e.Label != "" {
		label = fmt.Sprintf(" (%q)", e.Label)
	}
	return fmt.Sprintf("waiting for the lock: device %s%s holds it, scope %s", e.Device, label, e.Scope)
}

// committed: what this device reflected in a transaction is visible to the others.
type committed struct {
	Event    string `json:"event"`
	Scope    string `json:"scope"`
	Messages int    `json:"messages"`
}

func (e committed) String() string {
	return fmt.Sprintf("committed: %d messages, scope %s", e.Messages, e.Scope)
}

// unreflected: a line from standard input was not reflected, or nobody knows.
type unreflected struct {
	Event string `json:"event"`
	Cause string `json:"cause"`
	Text  string `json:"text"`
}

func (e unreflected) String() string {
	return fmt.Sprintf("no acknowledgement for %s: %s", printable(e.Text), printable(e.Cause))
}

// slot: a device of the group.
type slot struct {
	Event     string    `json:"event"`
	Device    string    `json:"device"`
	Own       bool      `json:"own"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Policy    string    `json:"policy"`
	Platform  string    `json:"platform,omitempty"`
	Details   string    `json:"details,omitempty"`
	Version   string    `json:"version,omitempty"`
	Label     string    `json:"label,omitempty"`
	Cause     string    `json:"cause,omitempty"` // why what it says of itself cannot be read
}

func newSlot(f *deviceFile, s client.Slot) slot {
	e := slot{Event: "device", Device: formatDeviceID(s.ID), Own: s.ID == f.id, Connected: s.Connected, Since: s.Since.UTC()}
	e.Policy = "persistent"
	if s.Expiration == d2m.Volatile {
		e.Policy = "volatile"
	}
	if s.InfoErr != nil {
		e.Cause = s.InfoErr.Error()
		return e
	}
	e.Platform, e.Details = s.Info.Platform.String(), s.Info.PlatformDetails
	e.Version, e.Label = s.Info.AppVersion, s.Info.Label
	return e
}

func (e slot) String() string {
	state := "away since"
	if e.Connected {
		state = "connected since"
	}
	line := fmt.Sprintf("device %s %s %s, %s", e.Device, state, clock(e.Since), e.Policy)
	if e.Label != "" {
		line += fmt.Sprintf(", %q", e.Label)
	}
	if e.Own {
		line += ", this one"
	}
	return line
}

// dropped: the server has freed a device's slot.
type dropped struct {
	Event  string `json:"event"`
	Device string `json:"device"`
}

func (e dropped) String() string { return "dropped device " + e.Device }

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
