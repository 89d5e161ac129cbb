package mediator

import (
	"errors"
	"syscall"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/privacy"
	"openmediator/reflect"
)

// connection adds what may be seen of a connection to a line of the log.
func (s *Server) connection(e *zerolog.Event, c *conn) *zerolog.Event {
	return e.EmbedObject(s.view.Connection(c.name, below(c.out.Conn).RemoteAddr(), c.url.GroupID))
}

// group adds what may be seen of a group to a line of the log.
func (s *Server) group(e *zerolog.Event, group d2m.GroupID) *zerolog.Event {
	return e.EmbedObject(s.view.Group(group))
}

func (s *Server) announce() {
	until := s.config().Privacy.Until
	if s.view.Level() == privacy.Full {
		s.config().Log.Warn().Time("until", until).Msg("privacy is off: this log holds the addresses and groups of the users")
		return
	}
	if s.config().Privacy.Level == privacy.Full {
		s.config().Log.Warn().Time("until", until).Msg("privacy full has ended: strict holds")
	}
}

// logEnd logs that a connection ended without a decision of this side.
func (s *Server) logEnd(c *conn, err error) {
	kind := networkErrorKind(err)
	if kind == "" {
		kind = "closed by the device"
	}
	s.connection(s.config().Log.Debug(), c).Str("cause", kind).Msg("connection ended")
}

// logClose logs a close that this side has decided.
func (s *Server) logClose(c *conn, why devicegroup.Close) {
	event := s.config().Log.Info()
	if isLimit(why) {
		event = s.config().Log.Debug()
	}
	s.connection(event, c).Uint16("code", uint16(why.Code)).Str("reason", why.Reason).Msg("connection closed")
}

// logChatEnd logs why a session with the chat server ended: the kind, for the cause holds addresses.
func (s *Server) logChatEnd(c *conn, cause error) {
	kind := networkErrorKind(cause)
	switch {
	case cause == nil:
		kind = "closed by the chat server"
	case kind == "":
		kind = "not what was expected of the chat server"
	}
	s.connection(s.config().Log.Debug(), c).Str("cause", kind).Msg("chat server connection ended")
}

func (s *Server) logDead(c *conn) {
	s.connection(s.config().Log.Info(), c).Msg("leader gives no sign of life")
}

var noticeTexts = [...]string{
	devicegroup.QueueHalfFull:   "reflection queue of a device is half full",
	devicegroup.QueueLimit:      "device dropped: its reflection queue reached the limit",
	devicegroup.GroupLimit:      "message refused: storage limit reached",
	devicegroup.EphemeralsLost:  "ephemeral messages lost: a device does not read, or a transaction takes long",
	devicegroup.SlotExpired:     "device slot expired",
	devicegroup.LeastRecentDrop: "device dropped to make room for another one",
	devicegroup.StagedLimit:     "transaction ended: it had staged too much",
	devicegroup.MessageDamaged:  "a stored message is damaged: it was left out for a device",
}

func (s *Server) logNotice(group d2m.GroupID, n devicegroup.Notice) {
	s.group(s.config().Log.Warn(), group).Msg(noticeTexts[n])
}

func (s *Server) logLost(group d2m.GroupID, ephemerals int) {
	s.group(s.config().Log.Warn(), group).Int("lost", ephemerals).Msg(noticeTexts[devicegroup.EphemeralsLost])
}

func (s *Server) logStoreFailed(err error) {
	kind := "unavailable"
	if errors.Is(err, reflect.ErrFenced) {
		kind = "claimed by another writer"
	} else if system, ok := errors.AsType[syscall.Errno](err); ok {
		kind += ": " + system.Error() // what the operator can do something about: the disk is full, or fails
	}
	if !s.failing.Swap(true) {
		s.config().Log.Error().Str("cause", kind).Msg("storage failed: groups that need it are closed, what was not stored was not acknowledged")
	}
}

// logUnreadable logs that what is stored of a group makes no sense: its devices are refused, and nobody else's.
func (s *Server) logUnreadable(group d2m.GroupID) {
	s.group(s.config().Log.Error(), group).Msg("what is stored of a group cannot be read: its devices are refused")
}

// storeWorks notes that the store did what it was asked, after it had failed.
func (s *Server) storeWorks() {
	if s.failing.Load() && s.failing.Swap(false) {
		s.config().Log.Info().Msg("storage works again")
	}
}

// setFull notes whether the store takes messages (B22).
func (s *Server) setFull(full bool) {
	switch was := s.full.Swap(full); {
	case full && !was:
		s.config().Log.Error().Msg("storage limit reached: messages are refused")
	case was && !full:
		s.config().Log.Info().Msg("storage has room again")
	}
}

// httpLog takes what the HTTP server logs. The text holds addresses, so only the fact is kept.
type httpLog struct{ *Server }

func (l httpLog) Write(text []byte) (int, error) {
	l.config().Log.Debug().Msg("an HTTP connection failed")
	return len(text), nil
}
