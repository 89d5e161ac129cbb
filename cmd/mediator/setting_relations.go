package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"openmediator/access"
	"openmediator/mediator"
)

// relation is what several settings mean together.
type relation struct {
	of    []string              // the settings
	check func(*settings) error // says in one sentence how they contradict each other; may complete s.server
}

// relations are looked at in this order. One is left out if one of its settings is wrong by itself.
var relations = []relation{
	{[]string{"max-queue-bytes", "max-group-bytes"}, func(s *settings) error {
		if group := s.server.Group; group.GroupBytes < group.QueueBytes {
			return fmt.Errorf("max-group-bytes: %d bytes are less than max-queue-bytes, %d; raise the one or lower the other",
				group.GroupBytes, group.QueueBytes)
		}
		return nil
	}},
	{[]string{"max-transaction-bytes", "max-staged-bytes"}, func(s *settings) error {
		if s.server.StagedBytes < s.server.Group.StagedBytes {
			return fmt.Errorf("max-staged-bytes: %d bytes are less than max-transaction-bytes, %d; raise the one or lower the other",
				s.server.StagedBytes, s.server.Group.StagedBytes)
		}
		return nil
	}},
	{[]string{"max-slots", "max-group-connections"}, func(s *settings) error {
		if most := s.server.MaxGroupConnections; most != 0 && most < s.server.Group.MaxSlots {
			return fmt.Errorf("max-group-connections: %d are fewer than max-slots, %d, and some devices would never get in; "+
				"raise the one or lower the other", most, s.server.Group.MaxSlots)
		}
		return nil
	}},
	{[]string{"forwarded-header"}, func(s *settings) error {
		if h := s.server.Front.Header; h != mediator.XForwardedFor && h != mediator.Forwarded {
			return fmt.Errorf("forwarded-header: %q is neither %s nor %s", h, mediator.XForwardedFor, mediator.Forwarded)
		}
		return nil
	}},
	{[]string{"privacy", "privacy-until"}, func(s *settings) error {
		if err := s.server.Privacy.Validate(time.Now()); err != nil {
			return fmt.Errorf("%w; set privacy-until to a time within 31 days", err)
		}
		return nil
	}},
	{[]string{"listen"}, (*settings).checkClash},
	{[]string{"listen", "allow-plaintext"}, (*settings).checkPlaintext},
	{[]string{"admin-listen", "admin-allow-plaintext"}, (*settings).checkAdminReach},
	{[]string{"listen", "admin-listen"}, (*settings).checkAdminClash},
	{[]string{"access", "access-list"}, func(s *settings) error {
		if s.access == access.Known && s.accessList == "" {
			return errors.New("access: known lets in the groups of a list; name its file with access-list")
		}
		return nil
	}},
	{tlsNames, (*settings).checkTLS},
	{[]string{"public-url"}, (*settings).checkPublicURL},
	{[]string{"upstream", "upstream-pattern"}, (*settings).resolveUpstreams},
}

// relate looks at all relations but those of settings that are wrong, or not among those that were read.
func (s *settings) relate(wrong []problem) (found []problem) {
	for _, r := range relations {
		unread := func(name string) bool { _, read := s.values[name]; return !read }
		isWrong := func(p problem) bool { return slices.Contains(r.of, p.setting) }
		if slices.ContainsFunc(r.of, unread) || slices.ContainsFunc(wrong, isWrong) {
			continue
		}
		if err := r.check(s); err != nil {
			found = append(found, problem{setting: s.values.last(r.of), text: err.Error()})
		}
	}
	return found
}

// checkPlaintext refuses addresses that other machines reach, as far as nothing has to be looked up for it.
func (s *settings) checkPlaintext() error {
	for _, a := range s.listen {
		if !isLiteral(a.name) {
			continue
		}
		_, err := a.resolve(s.allowPlaintext)
		var refused usageError
		if errors.As(err, &refused) {
			return err
		}
	}
	return nil
}
