package main

import (
	"context"
	"errors"
	"io"

	"openmediator/admin"
	"openmediator/backup"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// keeper does what an operator wants to have done with a store that is open, and the directory it is in. An admin.Client does
// the same where a server has it open.
type keeper struct {
	dir   string
	store *boltstore.Store
}

var _, _ admin.Data = (*keeper)(nil), (*admin.Client)(nil)

// keeperOf returns nil for a store that keeps nothing.
func keeperOf(dir string, store reflect.Store) admin.Data {
	if kept, ok := store.(*boltstore.Store); ok {
		return &keeper{dir, kept}
	}
	return nil
}

// Backup implements admin.Data.
func (k *keeper) Backup(ctx context.Context, to io.Writer, withoutKeys bool) error {
	return unavailable(backup.Write(ctx, to, k.dir, k.store, backup.Options{WithoutKeys: withoutKeys, Program: version()}))
}

// Verify implements admin.Data.
func (k *keeper) Verify(ctx context.Context) (admin.Verified, error) {
	var content boltstore.Content
	exported, err := k.store.Export(ctx, content.Add)
	if err == nil && content.Above(exported.LastKey) {
		err = errors.New("verify: the store holds a chunk with a key that was never given")
	}
	return verifiedOf(content.Tally()), unavailable(err)
}

func verifiedOf(t boltstore.Tally) admin.Verified {
	return admin.Verified{Groups: t.Groups, Devices: t.Devices, Messages: t.Messages, Bytes: t.Bytes, Damaged: t.Damaged}
}

// Compact implements admin.Data.
func (k *keeper) Compact(ctx context.Context) (admin.Compacted, error) {
	r, err := k.store.Compact(ctx)
	return admin.Compacted{
		Before: r.Before, After: r.After, Waited: r.Waited.Milliseconds(), Took: r.Took.Milliseconds(),
	}, unavailable(err)
}

// data is what does it for a command.
func (o *operated) data() admin.Data {
	if o.client != nil {
		return o.client
	}
	return &keeper{o.dir, o.store}
}
