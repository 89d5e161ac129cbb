package client

import "testing"

// The reader may learn that the device leads, or is logged in to the chat server, when
// the session has been left already: the next one must begin without (B12).
func TestB12_NoLeaderBehindTheSession(t *testing.T) {
	s := new(session)
	d := &Device{chat: newChat(ChatConfig{}), session: s}
	link := &chatLink{session: s}
	d.setLeader(s)
	d.setChatLink(link)
	if !d.IsLeader() || d.chat.link != link {
		t.Errorf("within the session: leader %v, link %v", d.IsLeader(), d.chat.link)
	}
	d.leaveSession()
	d.setLeader(s)
	d.setChatLink(link)
	if d.IsLeader() || d.chat.link != nil {
		t.Errorf("behind the session: leader %v, link %v", d.IsLeader(), d.chat.link)
	}
}
