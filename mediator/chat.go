package mediator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/devicegroup"
)

// maxGathered is how many bytes for the chat server are gathered, before they are sent in one piece.
const maxGathered = 64 << 10

// proxy takes bytes for the chat server. They are sent with those behind them, as far as these have arrived already; while the
// chat server is slow it waits (B38).
func (c *conn) proxy(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	session, err := c.chatSession()
	if err != nil {
		c.end(devicegroup.Close{Code: d2m.CloseChatServerUnreachable, Reason: err.Error()})
		return nil
	}
	if session == nil {
		return nil
	}
	if c.gathered != nil && len(c.gathered.data)+len(data) > maxGathered {
		c.sendGathered()
	}
	if c.gathered == nil {
		c.gathered = getMessage()
	}
	c.gathered.data = append(c.gathered.data, data...)
	return nil
}

// sendGathered sends what has been gathered to the chat server. It comes before all that may wait for something else.
func (c *conn) sendGathered() {
	if c.gathered == nil {
		return
	}
	c.mu.Lock()
	session := c.chat
	c.mu.Unlock()
	session.Send(c.gathered.data)
	putMessage(c.gathered)
	c.gathered = nil
}

// chatSession returns the connection's session with the chat server, which is opened by the first byte (B35), or nil if
// the device has left its group. The session connects when ServerInfo is on its way: then the device is registered.
func (c *conn) chatSession() (*chatproxy.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chat != nil || c.left {
		return c.chat, nil
	}
	session, err := c.server.chat.Open(c.url.ServerGroup, c.server.isolation(c.url.GroupID), chatDevice{c})
	if err != nil {
		return nil, err
	}
	c.chat = session
	if c.admitted {
		session.Start()
	}
	return session, nil
}

// leaveChat ends the connection's session with the chat server: for its group the device is gone (B9).
func (c *conn) leaveChat() {
	c.mu.Lock()
	session := c.chat
	c.left = true
	c.mu.Unlock()
	if session != nil {
		session.Leave()
	}
}

// startChat lets the session with the chat server connect: the device is registered.
func (c *conn) startChat() {
	c.mu.Lock()
	session := c.chat
	c.admitted = true
	c.mu.Unlock()
	if session != nil {
		session.Start()
	}
}

// sendChat hands the library what the chat server sends, and ends the connection behind the last of it (B37). It reports
// whether there was anything, and whether the library takes frames.
func (c *conn) sendChat(session *chatproxy.Session) (more, taken bool) {
	data, ends, end := session.Take()
	if end != nil && !c.chatOver { // the connection's own end may wait for the store, and the writer comes by meanwhile
		c.chatOver = true
		c.chatEnded(end)
	}
	taken = c.sendFrames(&devicegroup.Frames{Data: data, Ends: ends})
	session.Release()
	return len(ends) > 0, taken
}

func (c *conn) chatEnded(end *chatproxy.End) {
	c.server.logChatEnd(c, end.Cause)
	c.end(devicegroup.Close{Code: end.Code, Reason: end.Reason})
}

// chatDevice is a connection as its session with the chat server sees it.
type chatDevice struct{ *conn }

// Wake implements chatproxy.Device. If the writer has no work, what the chat server has sent is written here as far as the
// kernel takes it at once: to start a writer costs more than all else.
func (d chatDevice) Wake() {
	if d.becomeWriter() {
		d.resign(!d.passChat())
	}
}

// passChat writes all that the chat server has sent, and says whether the kernel has taken it. If so, nothing is left to be done.
func (c *conn) passChat() bool {
	for {
		c.out.collect()
		more, taken := c.sendChat(c.chat)
		if !taken || !c.out.tryFlush() {
			return false
		}
		if !more {
			return true
		}
	}
}

// Overdue implements chatproxy.Device: the device does not read. It is told that the chat server has closed, if it takes that.
func (d chatDevice) Overdue() {
	if d.link != nil {
		d.link.beginClosing(membersDiscard)
	}
	d.end(devicegroup.Close{Code: d2m.CloseChatServerClosed, Reason: "chat server closed its connection"})
}

// isolation is what a SOCKS proxy may know a device group by: the same for all its devices, different with each start of
// the server, and of no use to find the group.
func (s *Server) isolation(group d2m.GroupID) string {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte("isolation"))
	mac.Write(group[:])
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
