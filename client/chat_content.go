package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"openmediator/csp"
	"openmediator/devicekeys"
)

// What devices reflect of a chat message, as Content of an envelope of kind incoming
// or outgoing message: protobuf with one field, number 8440, which holds the message
// as csp.Message.Append writes it, but with both boxes opened (the second one is
// kind u8 · body). Apps have a message of their own there, without this field; what
// does not begin with its tag is theirs.
const chatContentField = 8440

// chatContentTag is the field's number and wire type 2.
var chatContentTag = binary.AppendUvarint(nil, chatContentField<<3|2)

// appendChatContent makes the content of an envelope. The only error is a message
// that is too large for the chat server, too.
func appendChatContent(dst []byte, m ChatMessage) ([]byte, error) {
	opened := csp.Message{
		Sender:    m.Sender,
		Receiver:  m.Receiver,
		ID:        m.ID,
		CreatedAt: uint32(m.CreatedAt.Unix()),
		Flags:     m.Flags,
		Metadata:  m.Metadata,
		Nonce:     m.Nonce,
		Box:       append([]byte{m.Kind}, m.Body...),
	}
	copy(opened.Nickname[:], m.Nickname)
	field, err := opened.Append(nil)
	if err != nil {
		return dst, err
	}
	dst = append(dst, chatContentTag...)
	dst = binary.AppendUvarint(dst, uint64(len(field)))
	return append(dst, field...), nil
}

// isChatContent tells whether an envelope holds a chat message of a device like
// this, and not of an app.
func isChatContent(envelope devicekeys.Envelope) bool {
	switch envelope.Kind {
	case devicekeys.KindIncomingMessage, devicekeys.KindOutgoingMessage:
		return bytes.HasPrefix(envelope.Content, chatContentTag)
	}
	return false
}

// parseChatContent reads an envelope that isChatContent. The result aliases its
// Content.
func parseChatContent(envelope devicekeys.Envelope) (ChatMessage, error) {
	rest := envelope.Content[len(chatContentTag):]
	length, n := binary.Uvarint(rest)
	if n <= 0 || length != uint64(len(rest)-n) {
		return ChatMessage{}, errors.New("reflected chat message: is not one whole field")
	}
	opened, err := csp.ParseMessage(rest[n:])
	if err != nil {
		return ChatMessage{}, err
	}
	if len(opened.Box) == 0 {
		return ChatMessage{}, errors.New("reflected chat message: has no kind")
	}
	m := chatHeader(&opened)
	m.Kind, m.Body = opened.Box[0], opened.Box[1:]
	if len(opened.Metadata) > 0 {
		m.Metadata = opened.Metadata
	}
	m.Reflected, m.Device = true, envelope.Device
	m.Outgoing = envelope.Kind == devicekeys.KindOutgoingMessage
	return m, nil
}

// chatHeader is all of a message but what is in its boxes.
func chatHeader(m *csp.Message) ChatMessage {
	return ChatMessage{
		Sender:    m.Sender,
		Receiver:  m.Receiver,
		ID:        m.ID,
		CreatedAt: time.Unix(int64(m.CreatedAt), 0),
		Flags:     m.Flags,
		Nickname:  string(bytes.TrimRight(m.Nickname[:], "\x00")),
		Nonce:     m.Nonce,
	}
}
