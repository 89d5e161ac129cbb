package mediator

import (
	"maps"
	"slices"
	"strings"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// Access decides which groups a server accepts. It is asked about a group only when a device has proved that it holds the
// group's key (B5, B6): nobody else learns what it would say. Its methods may be called from any goroutine.
type Access interface {
	// Admit says whether a device of a group may register. stored says that the group has a device slot; path is that of
	// the URL which the device has connected to, without its last segment. An error means that it is not known (1011); its text
	// goes to the log.
	Admit(group d2m.GroupID, stored bool, path string) (bool, error)

	// Joined notes that a group has its first device slot, durably, that Admit has let in with this path.
	Joined(group d2m.GroupID, path string)

	// Permits says whether a group that has a device slot may use the server.
	Permits(group d2m.GroupID) bool
}

// notAccepted ends the connections of a group that may not use the server.
var notAccepted = devicegroup.Close{Code: d2m.CloseProtocolError, Reason: "this server does not accept this group"}

// admit asks whether a device may register. The group is claimed, and g.mu is held: if this waits for the disk, the group
// has no device yet that would wait with it.
func (g *group) admit(c *conn) error {
	s := g.groups.server
	access := s.config().Access
	if access == nil {
		c.base = ""
		return nil
	}
	stored := g.core.Slots() > 0
	accepted, err := access.Admit(g.id, stored, c.base)
	switch {
	case err != nil:
		s.config().Log.Error().Str("cause", err.Error()).Msg("an invitation cannot be read or written: its group is not let in")
		return internalError("invitations are not available")
	case !accepted:
		return closing{notAccepted}
	case stored:
		c.base = ""
	}
	return nil
}

// admitStill closes a connection, registered just now, whose group has lost its access since it was admitted: RefuseDenied
// may have looked before it was registered. g.mu is held.
func (g *group) admitStill(c *conn) {
	if access := g.groups.server.config().Access; access != nil && !access.Permits(g.id) {
		g.core.Close(time.Now(), c.member, notAccepted)
	}
}

// joined tells the access that a group has its first device slot. ServerInfo is on its way; it is called by the writer.
func (c *conn) joined() {
	if access := c.server.config().Access; c.base != "" && access != nil {
		access.Joined(c.url.GroupID, c.base)
	}
}

// RefuseDenied closes the connections of all groups that the Access does not permit any more. It is to be called when the
// Access has changed its mind.
func (s *Server) RefuseDenied() {
	access := s.config().Access
	if access == nil {
		return
	}
	for _, c := range s.open() {
		if c.isRegistered() && !access.Permits(c.url.GroupID) {
			c.end(notAccepted)
		}
	}
}

// open returns the connections there are.
func (s *Server) open() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.connections))
}

// isRegistered says whether a connection is in the hands of its group: its device has proved that it belongs to it.
func (c *conn) isRegistered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.registered
}

// base returns the path of a URL up to its last segment, if the Access has a use for it. It may hold a secret.
func (s *Server) base(path string) string {
	if s.config().Access == nil {
		return ""
	}
	return path[:strings.LastIndexByte(path, '/')+1]
}
