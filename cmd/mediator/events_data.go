package main

import (
	"fmt"
	"time"

	"openmediator/admin"
	"openmediator/backup"
)

// verifiedData: what was found in a backup or a data directory. With the event "backup" it has just been written.
type verifiedData struct {
	Event string     `json:"event"`
	Path  string     `json:"path"`
	Made  *time.Time `json:"made,omitempty"` // of a backup
	Keys  *bool      `json:"keys,omitempty"` // it holds the TLS keys
	admin.Verified
}

func newBackedUp(event, path string, c backup.Contents) verifiedData {
	return verifiedData{event, path, &c.Made, &c.Keys, verifiedOf(c.Tally)}
}

func (e verifiedData) String() string {
	line := printable(e.Path) + ": "
	if e.Made != nil {
		line += "backup of " + clock(*e.Made) + ", "
	}
	line += fmt.Sprintf("%s with %s, %s with %s", counted(int64(e.Groups), "group"), counted(int64(e.Devices), "device"),
		counted(int64(e.Messages), "message"), counted(e.Bytes, "byte"))
	if e.Keys != nil && !*e.Keys {
		line += ", without TLS keys"
	}
	if e.Damaged > 0 {
		return line + fmt.Sprintf("; damaged: %d", e.Damaged)
	}
	return line
}

// restored: a data directory was made of a backup.
type restored struct {
	verifiedData
	Replaced string `json:"replaced,omitempty"`
}

func (e restored) String() string {
	text := e.verifiedData.String()
	if !*e.Keys {
		text += "\nthe server makes new TLS keys if it has none here: clients that know it by the old ones do not trust it"
	}
	if e.Replaced != "" {
		text += "\nwhat was there is in " + printable(e.Replaced) + ": remove it when all is well"
	}
	return text
}

// compacted: the store's file holds nothing any more that was deleted.
type compacted struct {
	Event string `json:"event"`
	admin.Compacted
}

func (e compacted) String() string {
	return fmt.Sprintf("compacted: %d KiB before, %d KiB now; devices waited %d ms", e.Before>>10, e.After>>10, e.Waited)
}
