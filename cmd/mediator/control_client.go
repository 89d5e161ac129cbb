package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"openmediator/admin"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// controlTimeout is how long a command waits for the server.
const controlTimeout = 2 * time.Minute

// operated is a server's data directory as its operator's commands see it: by the server that runs on it, else by themselves.
type operated struct {
	dir    string
	client *admin.Client // nil if no server runs
	store  *boltstore.Store
}

// operate finds the server of the data directory, or opens the store.
func (s *settings) operate() (*operated, error) {
	dir, err := s.dataDirectory()
	if err != nil {
		return nil, err
	}
	client, err := admin.Connect(dir)
	if !errors.Is(err, admin.ErrNotRunning) {
		return &operated{dir: dir, client: client}, err
	}
	if !boltstore.Exists(dir) {
		return nil, usage("data: %s has no store; name the server's directory with --data", dir)
	}
	store, err := boltstore.Open(dir, boltstore.Options{})
	if errors.Is(err, boltstore.ErrInUse) {
		return nil, fmt.Errorf("%w, which does not answer at its control socket: it is starting or stopping; try again", err)
	}
	return &operated{dir: dir, store: store}, err
}

func (o *operated) close() error {
	if o.store == nil {
		return nil
	}
	return o.store.Close()
}

// groups returns the groups without a connected device for a time.
func (o *operated) groups(ctx context.Context, idle time.Duration, ids bool) (groups []admin.Group, err error) {
	if o.client != nil {
		ctx, cancel := context.WithTimeout(ctx, controlTimeout)
		defer cancel()
		return o.client.Groups(ctx, idle, ids)
	}
	err = mediator.SurveyStore(o.store, func(g mediator.GroupState) error {
		if idle == 0 || time.Since(g.Seen) >= idle {
			groups = append(groups, admin.NewGroup(g, ids))
		}
		return ctx.Err()
	})
	return groups, unavailable(err)
}

// forget removes a group. A name other than an id is known to a server that runs.
func (o *operated) forget(ctx context.Context, name string) error {
	if o.client != nil {
		ctx, cancel := context.WithTimeout(ctx, controlTimeout)
		defer cancel()
		return o.client.Forget(ctx, name)
	}
	group, err := parseGroup(name)
	if err != nil {
		return fmt.Errorf("%w; pseudonyms are known while the server runs", err)
	}
	found, err := mediator.EraseGroup(o.store, group)
	switch {
	case err != nil:
		return unavailable(err)
	case !found:
		return errors.New("group: the store has none with this id")
	}
	_, err = o.store.Compact(ctx) // so that no byte of it stays in the file
	return err
}

// unavailable says what an operator can do about a store that fails.
func unavailable(err error) error {
	if errors.Is(err, reflect.ErrUnavailable) {
		return fmt.Errorf("%w: the disk is full or failing", err)
	}
	return err
}

// askServer asks the server that runs on the data directory of the settings. That none does is a usageError.
func askServer[T any](ctx context.Context, src *sources, question func(*admin.Client, context.Context) (T, error)) (answer T, err error) {
	dir, err := src.dataDirectory()
	if err != nil {
		return answer, err
	}
	client, err := admin.Connect(dir)
	if errors.Is(err, admin.ErrNotRunning) {
		return answer, usage("data: %v, %s: start it, or name its directory with --data", err, dir)
	}
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	return question(client, ctx)
}
