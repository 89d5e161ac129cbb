package main

import (
	"fmt"
	"time"

	"openmediator/admin"
)

// build: which one this program is.
type build struct {
	Event   string `json:"event"`
	Version string `json:"version"`
	Go      string `json:"go"`
}

func (e build) String() string { return "mediator " + e.Version + " " + e.Go }

// listed: the access list says something of a group.
type listed struct {
	Event   string `json:"event"`
	Group   string `json:"group"`
	Verdict string `json:"verdict"`
	Changed bool   `json:"changed"`
}

func (e listed) String() string {
	if !e.Changed {
		return fmt.Sprintf("group %s was %s already", e.Group, e.Verdict)
	}
	return fmt.Sprintf("group %s is %s", e.Group, e.Verdict)
}

// invited: there is an invitation.
type invited struct {
	Event   string    `json:"event"`
	ID      string    `json:"id"`
	Code    string    `json:"code"`
	Path    string    `json:"path"`
	URL     string    `json:"url,omitempty"`
	Expires time.Time `json:"expires"`
}

func (e invited) String() string {
	where := "the server's, with " + e.Path + " behind it (--public-url makes it whole)"
	if e.URL != "" {
		where = e.URL
	}
	return fmt.Sprintf("invitation %s for one new group, until %s\ncode: %s\nURL: %s", e.ID, clock(e.Expires), e.Code, printable(where))
}

// invitation: one that may still be used.
type invitation struct {
	Event   string    `json:"event"`
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
	Used    bool      `json:"used"`
}

func (e invitation) String() string {
	line := fmt.Sprintf("invitation %s until %s", e.ID, clock(e.Expires))
	if e.Used {
		line += ", a group is registering with it"
	}
	return line
}

// knownGroup: a group that has devices here.
type knownGroup struct {
	Event string `json:"event"`
	admin.Group
}

func (e knownGroup) String() string {
	name := e.ID
	if name == "" {
		name = e.Pseudonym
	}
	if name == "" {
		name = "(--ids shows its id)"
	}
	line := fmt.Sprintf("group %s: %s, ", name, counted(int64(e.Devices), "device"))
	if e.Connected > 0 {
		line += fmt.Sprintf("%d connected", e.Connected)
	} else {
		line += "away since " + clock(e.Seen)
	}
	if e.Messages > 0 {
		line += fmt.Sprintf(", %s waiting with %s", counted(int64(e.Messages), "message"), counted(e.Bytes, "byte"))
	}
	if e.Access != "" {
		line += ", " + e.Access
	}
	return line
}

// counted is a number and what it is of.
func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// forgottenGroup: nothing is stored for the group any more.
type forgottenGroup struct {
	Event string `json:"event"`
	Group string `json:"group"` // as it was named
}

func (e forgottenGroup) String() string { return "group " + e.Group + " is forgotten" }

// knownItem: something that the server knows.
type knownItem struct {
	Event string `json:"event"`
	admin.Item
}

func (e knownItem) String() string {
	if e.Where == "log" {
		return fmt.Sprintf("log · %s\n    %s\n    kept %s", e.What, e.Detail, e.Kept) // nobody counts lines
	}
	line := fmt.Sprintf("%s · %s\n    %d", e.Where, e.What, e.Count)
	if e.Bytes > 0 {
		line += ", " + counted(e.Bytes, "byte")
	}
	if e.Detail != "" {
		line += "; " + e.Detail
	}
	return line + "\n    kept " + e.Kept
}
