package mediator

// What hundreds of servers draw ahead would be a fifth of all that the tests do.
func init() { verifiersAhead = 2 }

// BytesHeld returns how much of what is stored is counted as held in memory.
func (s *Server) BytesHeld() int64 { return s.tail.Load() }

// GroupsInUse returns how many groups are in the registry.
func (s *Server) GroupsInUse() int {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	return len(s.groups.inUse)
}
