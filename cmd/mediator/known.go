package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"openmediator/access"
	"openmediator/admin"
	"openmediator/mediator"
	"openmediator/privacy"
)

// known lists what the server knows of its users at this moment. Whoever makes the server keep something else adds it here,
// and to docs/privacy.md.
func (s *settings) known(server *mediator.Server, who *access.Access) (admin.Knowledge, error) {
	items, err := s.knownOnDisk(server)
	if err != nil {
		return admin.Knowledge{}, err
	}
	items = append(items, s.knownInMemory(server)...)
	invited, err := knownOfAccess(who)
	if err != nil {
		return admin.Knowledge{}, err
	}
	items = append(items, invited...)
	own, err := s.knownOfItself()
	if err != nil {
		return admin.Knowledge{}, err
	}
	return admin.Knowledge{At: time.Now().UTC(), Items: append(items, own, s.knownInLog())}, nil
}

// knownOfItself is what the server keeps of TLS, so that nobody has to wonder what those files are.
func (s *settings) knownOfItself() (admin.Item, error) {
	item := admin.Item{Where: "disk", What: "keys and certificates of the server: of itself, and nothing of users",
		Kept: "a key until the next one takes its place (mediator pin --rotate), a certificate until it is renewed"}
	dir, err := s.dataDirectory()
	if err != nil {
		return item, err
	}
	files, err := os.ReadDir(tlsDirectory(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return item, nil
	}
	item.Count = int64(len(files))
	return item, err
}

func (s *settings) knownOnDisk(server *mediator.Server) ([]admin.Item, error) {
	var groups, slots, messages, size, blobs int64
	var oldest time.Time
	err := server.Survey(func(g mediator.GroupState) error {
		groups++
		slots += int64(g.Slots)
		messages += int64(g.Messages)
		size += g.Bytes
		blobs += g.Blobs
		if !g.Oldest.IsZero() && (oldest.IsZero() || g.Oldest.Before(oldest)) {
			oldest = g.Oldest
		}
		return nil
	})
	waiting := admin.Item{
		Where: "disk", What: "messages: encrypted envelopes, with device and time of acceptance", Count: messages, Bytes: size,
		Kept: "until each device has acknowledged it; bytes of what is deleted may stay in the file for " + s.compactWithin(),
	}
	if !oldest.IsZero() {
		waiting.Detail = "the oldest since " + clock(oldest)
	}
	return []admin.Item{
		{Where: "disk", What: "device groups: a public key each", Count: groups, Kept: "until the group's last device slot goes"},
		{Where: "disk", What: "device slots: device id, when it was last connected, which messages it has not acknowledged",
			Count: slots, Kept: s.slotsKept()},
		{Where: "disk", What: "what devices say of themselves and share in their group, encrypted", Count: slots, Bytes: blobs,
			Kept: "until it is replaced or its slot goes"},
		waiting,
	}, err
}

// compactWithin says how long deleted bytes stay.
func (s *settings) compactWithin() string {
	if s.compactEvery == 0 {
		return "ever (compact-every is 0)"
	}
	return formatLong(s.compactEvery)
}

func (s *settings) slotsKept() string {
	kept := "until it is dropped, or its queue reaches a limit; a volatile one " + formatLong(s.server.Group.VolatileExpiry) +
		" after its device left"
	if s.server.Group.MaxAbsence > 0 {
		kept += ", any other " + formatLong(s.server.Group.MaxAbsence)
	}
	return kept
}

func (s *settings) knownInMemory(server *mediator.Server) []admin.Item {
	held := server.Holdings()
	return []admin.Item{
		{Where: "memory", What: "connections: address, group, device and server group", Count: int64(held.Connections),
			Kept: "while it is open"},
		{Where: "memory", What: "sessions with chat servers: what is under way, encrypted; 64 KiB to the device and 16 KiB from it, or a message",
			Count: server.Stats().Chat.Open, Kept: "until it is passed on, or either side is gone"},
		{Where: "memory", What: "groups in use: what is on disk of them", Count: int64(held.Groups), Bytes: held.Tail,
			Kept: "while a device is connected, and until what it did is stored"},
		{Where: "memory", What: "messages in transactions, encrypted", Bytes: held.Staged, Kept: "until the transaction ends"},
		{Where: "memory", What: "addresses: a keyed hash, connections, and how much of its rates is used up",
			Count: int64(held.Addresses), Kept: "while it is connected, and until its rates are full again, an hour or so"},
		{Where: "memory", What: "the key of the pseudonyms and of the hashes of addresses", Count: 1,
			Kept: "until the server ends; the next start has another one"},
	}
}

func knownOfAccess(who *access.Access) ([]admin.Item, error) {
	all, err := who.Invitations().List()
	if err != nil {
		return nil, err
	}
	used := 0
	for _, i := range all {
		if i.Used {
			used++
		}
	}
	list := who.List()
	allowed, denied := len(list.Groups(access.Allowed)), len(list.Groups(access.Denied))
	return []admin.Item{
		{Where: "disk", What: "invitations: a hash of the code, and a keyed hash of the group that is using it", Count: int64(len(all)),
			Detail: fmt.Sprintf("%d in use", used), Kept: "until a group has registered with it, or it expires"},
		{Where: "operator", What: "groups on the access list", Count: int64(allowed + denied),
			Detail: fmt.Sprintf("access is %v; %d allowed, %d denied", who.Mode(), allowed, denied),
			Kept:   "until the operator takes it off the list"},
	}, nil
}

// loggedAt says what the log holds of users.
var loggedAt = map[privacy.Level]string{
	privacy.Strict:   "a random name per connection, close codes",
	privacy.Operator: "a random name per connection, close codes, a pseudonym per group",
	privacy.Full:     "group ids and addresses",
}

func (s *settings) knownInLog() admin.Item {
	level := s.server.Privacy.At(time.Now())
	return admin.Item{
		Where: "log", What: "lines: " + loggedAt[level], Detail: fmt.Sprintf("privacy is %v, log-level is %v", level, s.logLevel),
		Kept: "as long as whatever keeps the log keeps it",
	}
}
