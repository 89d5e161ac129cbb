package main

import (
	"fmt"
	"time"

	"openmediator/client"
	"openmediator/csp"
)

// loggedIn: the chat server has taken the device's login.
type loggedIn struct {
	Event    string `json:"event"`
	Identity string `json:"identity"`
	Waiting  uint32 `json:"waiting"` // messages, for whichever device leads
}

func newLoggedIn(f *deviceFile, ack csp.LoginAck) loggedIn {
	return loggedIn{"logged-in", f.chat.id.String(), ack.Queued}
}

func (e loggedIn) String() string {
	return fmt.Sprintf("logged in to the chat server as %s; messages waiting there: %d", e.Identity, e.Waiting)
}

// alert: the chat server has something to say to its user.
type alert struct {
	Event string `json:"event"`
	Text  string `json:"text"`
}

func (e alert) String() string { return "alert of the chat server: " + printable(e.Text) }

// chatReceived: a message from another identity, or one that another device has sent.
type chatReceived struct {
	Event     string    `json:"event"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	ID        string    `json:"id"`
	Time      time.Time `json:"time"` // as its sender or the chat server says
	Text      string    `json:"text,omitempty"`
	Kind      string    `json:"kind,omitempty"` // if it is not a text
	Bytes     int       `json:"bytes,omitempty"`
	Reflected bool      `json:"reflected"`        // by another device, which got or sent it
	Outgoing  bool      `json:"outgoing"`         // it was sent
	Device    string    `json:"device,omitempty"` // that has reflected it
}

func newChatReceived(m client.ChatMessage) chatReceived {
	e := chatReceived{
		Event: "chat", From: m.Sender.String(), To: m.Receiver.String(), ID: m.ID.String(),
		Time: m.CreatedAt.UTC(), Reflected: m.Reflected, Outgoing: m.Outgoing,
	}
	if m.Kind == csp.KindText {
		e.Text = string(m.Body)
	} else {
		e.Kind, e.Bytes = fmt.Sprintf("0x%02x", m.Kind), len(m.Body)
	}
	if m.Reflected {
		e.Device = formatDeviceID(m.Device)
	}
	return e
}

func (e chatReceived) String() string {
	line := fmt.Sprintf("%s chat from %s", clock(e.Time), printable(e.From))
	switch {
	case e.Outgoing:
		line = fmt.Sprintf("%s chat to %s, sent by device %s", clock(e.Time), printable(e.To), e.Device)
	case e.Reflected:
		line += ", reflected by device " + e.Device
	}
	if e.Kind != "" {
		return fmt.Sprintf("%s: kind %s of an app, %d bytes", line, e.Kind, e.Bytes)
	}
	return line + ": " + printable(e.Text)
}

// chatSent: the chat server has a message.
type chatSent struct {
	Event string    `json:"event"`
	To    string    `json:"to"`
	ID    string    `json:"id"`
	Time  time.Time `json:"time"` // of the acknowledgement
	Text  string    `json:"text"`
}

func (e chatSent) String() string {
	return fmt.Sprintf("%s sent to %s: %s", clock(e.Time), e.To, printable(e.Text))
}
