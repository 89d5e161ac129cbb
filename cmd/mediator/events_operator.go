package main

import (
	"fmt"
	"time"
)

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
