package chatproxy

import (
	"sync/atomic"

	"openmediator/d2m"
)

// counters are what a Proxy counts for the server's operator.
type counters struct {
	open, began        atomic.Int64
	ended              [endings]atomic.Int64
	units              atomic.Int64
	bytesDown, bytesUp atomic.Int64
	reached            atomic.Int64
	lastFailed         atomic.Bool
}

// took counts what is handed to a device.
func (c *counters) took(u *units) {
	c.units.Add(int64(len(u.ends)))
	c.bytesDown.Add(int64(len(u.data) - d2m.HeaderSize*len(u.ends)))
}

// ending is why a session has ended.
type ending int

const (
	endingDevice ending = iota
	endingChatServer
	endingUnreachable
	endingFault
	endings
)

// endingOf sorts an end. When a device has left, the connection to its chat server ends like any other.
func endingOf(end End, left bool) ending {
	switch {
	case end.Code == d2m.CloseChatServerUnreachable:
		return endingUnreachable
	case left:
		return endingDevice
	case end.Code == d2m.CloseChatServerInternal:
		return endingFault
	}
	return endingChatServer
}

// Stats are a Proxy's figures. What is counted is counted from its start on.
type Stats struct {
	Open  int64 // sessions that connect or are connected
	Began int64 // sessions that have tried to connect

	EndedByDevice     int64 // sessions whose device has left
	EndedByChatServer int64 // those that the chat server, or the network, has ended
	EndedUnreachable  int64 // those that never reached it
	EndedByFault      int64 // those of a chat server that takes nothing, or sends what it may not

	UnitsDown int64 // from chat servers, handed to devices
	BytesDown int64 // of them
	BytesUp   int64 // from devices

	Configured bool  // there is a chat server at all
	Reached    int64 // sessions that have reached theirs
	LastFailed bool  // the last try to reach one did
}

// Stats returns the figures of the moment.
func (p *Proxy) Stats() Stats {
	c := &p.counters
	return Stats{
		Open: c.open.Load(), Began: c.began.Load(),
		EndedByDevice: c.ended[endingDevice].Load(), EndedByChatServer: c.ended[endingChatServer].Load(),
		EndedUnreachable: c.ended[endingUnreachable].Load(), EndedByFault: c.ended[endingFault].Load(),
		UnitsDown: c.units.Load(), BytesDown: c.bytesDown.Load(), BytesUp: c.bytesUp.Load(),
		Configured: !p.way.Load().upstreams.Empty(), Reached: c.reached.Load(), LastFailed: c.lastFailed.Load(),
	}
}
