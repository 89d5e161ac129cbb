package mediator

// GroupsInUse returns how many groups are in the registry.
func (s *Server) GroupsInUse() int {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	return len(s.groups.inUse)
}
