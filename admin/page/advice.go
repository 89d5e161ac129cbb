package page

import (
	"fmt"

	"openmediator/d2m"
)

// Advice is what a close code means to the operator, and what there is to do.
type Advice struct {
	Code    d2m.CloseCode
	Meaning string
	Advice  string
	Look    bool // it is worth a look even if it comes once
}

// Advices has a row for each code that the server closes with. docs/operating.md has the same table.
var Advices = []Advice{
	{Code: d2m.CloseNormal, Meaning: "ended as usual", Advice: "Nothing."},
	{Code: d2m.CloseGoingAway, Meaning: "the server stopped or drained", Advice: "Nothing: devices come back by themselves, after 5 seconds or so."},
	{Code: d2m.CloseProtocolViolation, Meaning: "what came was not WebSocket as RFC 6455 has it",
		Advice: "If it is many, look at the proxy in front: it changes or cuts frames. Else it is a broken client, or a scanner."},
	{Code: d2m.CloseInternal, Meaning: "the server could not do its work",
		Advice: "Look into the log. As a rule the disk is full or fails; free some space. Nothing that was acknowledged is lost.", Look: true},
	{Code: d2m.CloseChatServerClosed, Meaning: "the chat server ended its connection",
		Advice: "Nothing. If all devices get it again and again, the chat server is being restarted or refuses them."},
	{Code: d2m.CloseChatServerUnreachable, Meaning: "the chat server cannot be reached, or none is configured for the device's server group",
		Advice: "Check it with mediator config check; see to upstream, and to the proxy of upstream-proxy.", Look: true},
	{Code: d2m.CloseChatServerInternal, Meaning: "the connection to the chat server failed half-way",
		Advice: "If it is many, the network between here and the chat server loses connections, or what answers there is no chat server.", Look: true},
	{Code: d2m.CloseProtocolError, Meaning: "the device said something wrong, did not hold its group's key, or its group is not let in",
		Advice: "If users complain, see access and the access list. One client that gets it all the time is broken."},
	{Code: d2m.CloseTransactionExpired, Meaning: "a device held the group's lock for too long",
		Advice: "Nothing: it begins again. If it is many, links are slow for what is changed; raise max-transaction-ttl."},
	{Code: d2m.CloseUnknownMessageAcked, Meaning: "the device acknowledged what it was never sent",
		Advice: "A broken client, or an old copy of the data directory was put in place of a newer one: never do that.", Look: true},
	{Code: d2m.CloseIdle, Meaning: "the device gave no sign of life, or did not log in in time",
		Advice: "Nothing: phones lose their network. If it is nearly all, a proxy in front holds data back."},
	{Code: d2m.CloseUnsupportedVersion, Meaning: "the client speaks a later version of the protocol", Advice: "Update the server.", Look: true},
	{Code: d2m.CloseDeviceLimit, Meaning: "the group has no free device slot",
		Advice: "Its user removes a device, or you drop one that is not used any more, or raise max-slots."},
	{Code: d2m.CloseReplaced, Meaning: "the same device connected again",
		Advice: "Nothing: it changed its network. If two take turns, a device was copied; its user sets one of them up anew."},
	{Code: d2m.CloseDropped, Meaning: "the device was dropped: by another one, to make room for one, or here",
		Advice: "Nothing. The device has to be linked anew by its user."},
	{Code: d2m.CloseQueueLimit, Meaning: "the device was away for too long: too much waited for it, and it lost its slot",
		Advice: "Its user links it anew. If it is many, raise max-queue-messages and max-queue-bytes.", Look: true},
	{Code: d2m.CloseSlotState, Meaning: "the device thought to be registered and was not, or the other way round",
		Advice: "Its user links it anew. If it is many at once, an old or an empty data directory is in use: stop and put the right one back.", Look: true},
}

// TableRow returns a row of the table in docs/operating.md.
func TableRow(a Advice) string { return fmt.Sprintf("| %d | %s | %s |", a.Code, a.Meaning, a.Advice) }

// adviceOn returns the row of a code.
func adviceOn(code d2m.CloseCode) Advice {
	for _, a := range Advices {
		if a.Code == code {
			return a
		}
	}
	return Advice{Code: code, Meaning: code.String(), Advice: "Look into the log.", Look: true}
}
