package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"openmediator/d2m"
	"openmediator/mediator"
)

const (
	// maxBody is how much is read of a request's body, bytes. None has one.
	maxBody = 4 << 10

	// maxIdle is the longest time that can be asked for.
	maxIdle = 100 * 365 * 24 * time.Hour

	// forgetTimeout is how long the store may take.
	forgetTimeout = 30 * time.Second
)

// Server is what the API is about. A mediator.Server is one.
type Server interface {
	Survey(each func(mediator.GroupState) error) error
	Forget(ctx context.Context, group d2m.GroupID) (found bool, err error)
	Pseudonym(group d2m.GroupID) string
	Condition() mediator.Condition
}

// Options are the parts that the API is made of.
type Options struct {
	Server  Server
	Verdict func(group d2m.GroupID) string // what the access list says: allowed, denied or nothing
	Known   func() (Knowledge, error)      // what the server knows
	Data    Data                           // nil: there is none. A backup holds secret keys: only for the unix socket
	Metrics http.Handler                   // for Prometheus; nil: none
}

// Handler returns the API.
func Handler(options Options) http.Handler {
	a := &api{options}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /groups", a.groups)
	mux.HandleFunc("DELETE /groups/{group}", a.forget)
	mux.HandleFunc("GET /privacy", a.privacy)
	a.dataRoutes(mux)
	mux.HandleFunc("GET "+livePath, a.live)
	mux.HandleFunc("GET "+readyPath, a.ready)
	if a.Metrics != nil {
		mux.Handle("GET "+metricsPath, a.Metrics)
	}
	return http.MaxBytesHandler(mux, maxBody)
}

type api struct{ Options }

// Group is a device group as the operator sees it.
type Group struct {
	Pseudonym string     `json:"pseudonym,omitempty"` // of this start of the server, as in its log
	ID        string     `json:"id,omitempty"`        // 64 hexadecimal digits; only if it was asked for
	Devices   int        `json:"devices"`
	Connected int        `json:"connected"`
	Seen      time.Time  `json:"seen"` // when a device was last connected; now, if one is
	Messages  int        `json:"messages"`
	Bytes     int64      `json:"bytes"`
	Oldest    *time.Time `json:"oldest,omitempty"` // when the oldest message that waits was accepted
	Access    string     `json:"access,omitempty"` // allowed or denied, by the access list
}

// NewGroup makes a Group of what is known of one.
func NewGroup(s mediator.GroupState, withID bool) Group {
	g := Group{Devices: s.Slots, Connected: s.Connected, Seen: s.Seen.UTC(), Messages: s.Messages, Bytes: s.Bytes}
	if !s.Oldest.IsZero() {
		oldest := s.Oldest.UTC()
		g.Oldest = &oldest
	}
	if withID {
		g.ID = hex.EncodeToString(s.ID[:])
	}
	return g
}

// Groups is the answer to GET /groups.
type Groups struct {
	Groups []Group `json:"groups"`
}

func (a *api) groups(w http.ResponseWriter, r *http.Request) {
	idle, err := parseIdle(r.FormValue("idle"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	withID := r.FormValue("ids") == "true"
	answer := Groups{Groups: []Group{}}
	err = a.Server.Survey(func(s mediator.GroupState) error {
		if idle > 0 && time.Since(s.Seen) < idle {
			return r.Context().Err()
		}
		g := NewGroup(s, withID)
		g.Pseudonym, g.Access = a.Server.Pseudonym(s.ID), a.Verdict(s.ID)
		answer.Groups = append(answer.Groups, g)
		return r.Context().Err()
	})
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	reply(w, answer)
}

func parseIdle(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil || seconds > uint64(maxIdle/time.Second) {
		return 0, fmt.Errorf("idle: %.20q is not a number of seconds up to %d", text, maxIdle/time.Second)
	}
	return time.Duration(seconds) * time.Second, nil
}

var (
	// errNoGroup answers for a group that the server does not know.
	errNoGroup = errors.New("group: the server has none with this id, and none with this pseudonym since it was started")

	// errTwoGroups answers for a pseudonym that does not say which group is meant.
	errTwoGroups = errors.New("group: two have this pseudonym; name it by its id")
)

func (a *api) forget(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), forgetTimeout)
	defer cancel()
	group, err := a.find(ctx, r.PathValue("group"))
	switch {
	case errors.Is(err, errNoGroup):
		refuse(w, http.StatusNotFound, err)
		return
	case errors.Is(err, errTwoGroups):
		refuse(w, http.StatusConflict, err)
		return
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("group: it could not be looked for, and nothing was done: %w", err))
		return
	}
	switch found, err := a.Server.Forget(ctx, group); {
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("group: it is not known whether it is gone: %w", err))
	case !found:
		refuse(w, http.StatusNotFound, errNoGroup)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// find returns the group with an id, or the only one with a pseudonym. Errors are errNoGroup, errTwoGroups, and those of looking.
func (a *api) find(ctx context.Context, name string) (group d2m.GroupID, err error) {
	if data, err := hex.DecodeString(name); err == nil && len(data) == len(group) {
		return d2m.GroupID(data), nil
	}
	err = errNoGroup
	failed := a.Server.Survey(func(s mediator.GroupState) error {
		if a.Server.Pseudonym(s.ID) == name {
			if err == nil {
				return errTwoGroups
			}
			group, err = s.ID, nil
		}
		return ctx.Err()
	})
	if failed != nil {
		return group, failed
	}
	return group, err
}

func (a *api) privacy(w http.ResponseWriter, _ *http.Request) {
	known, err := a.Known()
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	reply(w, known)
}

// reply answers with JSON.
func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // who does not take the answer has gone
}

// failure is an answer that is an error.
type failure struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{err.Error()})
}
