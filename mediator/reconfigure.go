package mediator

import "time"

// config is what holds at present. It is to be read once for what belongs together, and not written to.
func (s *Server) config() *Config { return s.current.Load() }

// Reconfigure puts another configuration in place of the present one, all of it or, with an error, nothing of it. No
// connection ends by it, and nobody has to wait for it:
//
//   - A lower limit refuses who comes next; who is there stays. An address keeps what it has used up of its rates. Group
//     limits hold for all groups at once: see [devicegroup.Group.SetConfig].
//   - A shorter VolatileExpiry or MaxAbsence holds for devices that are away already (B34).
//   - HandshakeTimeout, StallTimeout and MessageTimeout hold for connections that come from then on, and Chat for those on
//     which the first bytes for the chat server come from then on.
//
// After Drain or Shutdown it returns an error.
func (s *Server) Reconfigure(config Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	s.reconfiguring.Lock()
	defer s.reconfiguring.Unlock()
	if s.Draining() {
		return errStopping
	}
	old := s.config()
	s.current.Store(&config)
	s.limits.reconfigure(config, time.Now())
	s.pinger.setInterval(config.PingInterval)
	s.chat.Reconfigure(config.Chat)
	s.groups.reconfigure()
	if config.Group.VolatileExpiry != old.Group.VolatileExpiry || config.Group.MaxAbsence != old.Group.MaxAbsence {
		if err := s.groups.restoreAlarms(); err != nil {
			s.storeFailed(err) // slots that expire earlier now do so when their group is visited next
		}
	}
	s.view.SetPolicy(config.Privacy)
	if old.Access != config.Access {
		s.RefuseDenied()
	}
	if old.Privacy != config.Privacy {
		s.announce()
	}
	return nil
}
