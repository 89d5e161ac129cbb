package main

import (
	"context"
	"math"
	"time"

	"openmediator/admin/page"
	"openmediator/d2m"
)

// example is a server of a few groups on a good day.
type example struct{ began time.Time }

func newExample() *example { return &example{time.Now()} }

// Vitals implements page.Source.
func (e *example) Vitals() page.Vitals {
	up := time.Since(e.began).Seconds()
	return page.Vitals{
		State: page.Ready, Version: "v1.0.0", Started: e.began.Add(-76 * time.Hour),
		Checks:      []page.Check{{Name: "upstream", Text: "the chat server that was asked for last could not be reached"}},
		Connections: 214, LoggedIn: 213, Transactions: 1, ChatSessions: 208,
		Reflected: uint64(60*up + 90*(1-math.Cos(up/3)) + 30*math.Sin(up*1.3)),
		Closes: map[d2m.CloseCode]uint64{
			d2m.CloseIdle: 41, d2m.CloseReplaced: 9, d2m.CloseChatServerUnreachable: 3, d2m.CloseQueueLimit: 1,
		},
		StoreUsed: 312 << 20, StoreLimit: 20 << 30,
		Certificates: []page.Certificate{{Name: "mediator.example.net", Until: time.Now().Add(58*24*time.Hour + time.Hour)}},
	}
}

// Groups implements page.Source.
func (e *example) Groups(_ context.Context, each func(page.Group) error) error {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	at := func(d time.Duration) *time.Time {
		t := ago(d)
		return &t
	}
	const day = 24 * time.Hour
	for _, g := range []page.Group{
		{Name: "5c0a91f3", Messages: 1840, Bytes: 2_911_480, Oldest: at(9 * day), Devices: []page.Device{
			{Name: "a1", Connected: true, Leads: true, Since: ago(3 * time.Hour)},
			{Name: "a2", Connected: true, Since: ago(12 * time.Minute)},
			{Name: "a3", Since: ago(9 * day), Messages: 1840, Bytes: 2_911_480, Oldest: at(9 * day)},
		}},
		{Name: "e7b4420d", Messages: 12, Bytes: 9_204, Oldest: at(50 * time.Minute), Locked: true, Devices: []page.Device{
			{Name: "b1", Connected: true, Leads: true, Since: ago(26 * time.Hour)},
			{Name: "b2", Since: ago(52 * time.Minute), Messages: 12, Bytes: 9_204, Oldest: at(50 * time.Minute)},
		}},
		{Name: "19d3c6aa", Devices: []page.Device{
			{Name: "c1", Connected: true, Since: ago(40 * time.Second)},
			{Name: "c2", Connected: true, Leads: true, Since: ago(5 * day)},
		}},
		{Name: "8f02be71", Seen: ago(2 * day), Devices: []page.Device{{Name: "d1", Since: ago(2 * day)}}},
	} {
		if err := each(g); err != nil {
			return err
		}
	}
	return nil
}

// Drop implements page.Source.
func (e *example) Drop(context.Context, string, string) (bool, error) { return true, nil }

// Drain implements page.Source.
func (e *example) Drain() {}
