package main

import (
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/internal/history"
)

func TestCloseCodesAreExcusedOnlyForAReason(t *testing.T) {
	over := &life{number: 1, over: make(chan struct{})}
	close(over.over)
	for code, excuses := range map[d2m.CloseCode]func(*connection){
		d2m.CloseGoingAway:           func(c *connection) { c.life = over },
		d2m.CloseProtocolError:       func(c *connection) { c.blame(d2m.CloseProtocolError) },
		d2m.CloseTransactionExpired:  func(c *connection) { c.lock.plan = expire },
		d2m.CloseReplaced:            func(c *connection) { c.abandoned = 1 },
		d2m.CloseDropped:             func(c *connection) { c.excuses = byDrop },
		d2m.CloseQueueLimit:          func(c *connection) { c.excuses = byLimit },
		d2m.CloseUnknownMessageAcked: func(c *connection) { c.blame(d2m.CloseUnknownMessageAcked) },
		d2m.CloseChatServerClosed:    func(c *connection) { c.blame(d2m.CloseChatServerClosed) },
		d2m.CloseInternal:            nil, d2m.CloseIdle: nil, d2m.CloseProtocolViolation: nil,
	} {
		c := &connection{
			device: &device{group: &group{}, registered: true},
			life:   &life{number: 1, over: make(chan struct{})},
		}
		closed := &client.CloseError{Code: code}
		if c.judgeCode(closed) == "" {
			t.Errorf("%d is excused without a reason", code)
		}
		if excuses == nil {
			continue
		}
		excuses(c)
		if problem := c.judgeCode(closed); problem != "" {
			t.Errorf("%d has a reason: %s", code, problem)
		}
	}
}

func TestLostConnectionsAreExcusedOnlyForAReason(t *testing.T) {
	over := make(chan struct{})
	close(over)
	for name, test := range map[string]struct {
		change func(*connection)
		fine   bool
	}{
		"without a reason":              {func(*connection) {}, false},
		"the server has ended":          {func(c *connection) { c.life = &life{over: over} }, true},
		"a road that loses":             {func(c *connection) { c.road = road{kind: swallowsUp} }, true},
		"a close that it did not read":  {func(c *connection) { c.lazy, c.excuses = true, byLimit }, true},
		"a close for what it has done":  {func(c *connection) { c.lazy, c.blamed = true, time.Now() }, true},
		"it reads, and there was none":  {func(c *connection) { c.excuses = byLimit }, false},
		"it does not read, that is all": {func(c *connection) { c.lazy = true }, false},
	} {
		c := &connection{device: &device{group: &group{}}, life: &life{over: make(chan struct{})}}
		test.change(c)
		if excuse := c.lossExcuse(); (excuse != "") != test.fine {
			t.Errorf("%s: %q", name, excuse)
		}
	}
}

func TestLateAnswers(t *testing.T) {
	calm := &life{over: make(chan struct{})}
	long := []time.Time{time.Now().Add(-answerLimit - time.Second)}
	for name, test := range map[string]struct {
		change func(*connection)
		late   bool
	}{
		"nothing is due":          {func(*connection) {}, false},
		"an ack":                  {func(c *connection) { c.unacked = long }, true},
		"an ack, not long":        {func(c *connection) { c.unacked = []time.Time{time.Now()} }, false},
		"DevicesInfo":             {func(c *connection) { c.asked = long }, true},
		"BeginTransactionAck":     {func(c *connection) { c.lock = lock{stage: asking, asked: long[0]} }, true},
		"CommitTransactionAck":    {func(c *connection) { c.lock = lock{stage: committing, asked: long[0]} }, true},
		"a close":                 {func(c *connection) { c.blamed = long[0] }, true},
		"an ack, by a bad road":   {func(c *connection) { c.unacked, c.road = long, road{kind: swallowsUp} }, false},
		"an ack, after a restart": {func(c *connection) { c.unacked, c.life = long, &life{disturbed: time.Now()} }, false},
	} {
		c := &connection{device: &device{group: &group{}}, life: calm}
		test.change(c)
		if late := c.late(); (late != "") != test.late {
			t.Errorf("%s: %q", name, late)
		}
	}
}

func TestServerInfoIsCompared(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*attempt, *d2m.ServerInfo)
		fine   bool
	}{
		"as it should be":      {func(*attempt, *d2m.ServerInfo) {}, true},
		"a new slot":           {func(_ *attempt, i *d2m.ServerInfo) { i.SlotState = d2m.SlotNew }, false},
		"a slot that was gone": {func(a *attempt, _ *d2m.ServerInfo) { a.gone = true }, false},
		"strange shared data":  {func(_ *attempt, i *d2m.ServerInfo) { i.SharedDeviceData = []byte{1} }, false},
		"other limits":         {func(_ *attempt, i *d2m.ServerInfo) { i.MaxDeviceSlots++ }, false},
	} {
		g := &group{shared: newSharedData()}
		a := &attempt{device: &device{group: g}, life: new(life), registered: true}
		info := d2m.ServerInfo{SlotState: d2m.SlotExisting, MaxDeviceSlots: maxSlots}
		test.change(a, &info)
		if problem := a.check(info); (problem == "") != test.fine {
			t.Errorf("%s: %q", name, problem)
		}
	}
}

func TestHonestDevicesTellHowSlowTheServerIs(t *testing.T) {
	for name, test := range map[string]struct {
		kind kind
		take func(*connection)
		slow bool
	}{
		"an ack":                   {honest, func(c *connection) { c.take(d2m.ReflectAck{}) }, true},
		"no ack until the end":     {honest, func(c *connection) { c.tellSlowness() }, true},
		"a device that is plagued": {plain, func(c *connection) { c.take(d2m.ReflectAck{}) }, false},
		"nothing is due": {honest, func(c *connection) {
			c.unacked = nil
			c.take(d2m.ReflectAck{})
		}, false},
	} {
		w := &world{history: history.NewRun()}
		number := w.history.ServerStarted()
		g := &group{kind: test.kind, run: &run{world: w, tally: new(tally)}}
		c := &connection{
			device: &device{group: g, Recorder: w.history.Device(1)}, life: &life{number: number, over: make(chan struct{})},
			unacked: []time.Time{time.Now().Add(-3 * time.Second)},
		}
		test.take(c)
		if slow := w.history.History(nil).Servers[0].Slowest >= 3*time.Second; slow != test.slow {
			t.Errorf("%s: the server is slow: %v", name, slow)
		}
	}
}

func TestExcerptIsOfTheDeviceItself(t *testing.T) {
	h := &history.History{Servers: make([]history.Server, 1), Devices: []history.Device{
		{ID: 0, Events: []history.Event{
			{Kind: history.Connected, Server: 1, NewSlot: true}, {Kind: history.Rejected, Holder: 1}, {Kind: history.Promoted},
		}},
		{ID: 1, Events: []history.Event{{Kind: history.Connected, Server: 1, NewSlot: true}, {Kind: history.Dry}}},
	}}
	if text := excerpt(h, 1); !strings.Contains(text, "dry") || strings.Contains(text, "leader") {
		t.Errorf("got\n%s\nof\n%v", text, h)
	}
}
