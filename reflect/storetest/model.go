package storetest

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"openmediator/d2m"
	"openmediator/reflect"
)

// modelGroups is how many groups a random history has.
const modelGroups = 4

// model is the naive store: slices and maps.
type model struct {
	store  reflect.Store
	reopen func() reflect.Store
	n      int // tells messages apart

	groups [modelGroups]modelGroup
}

type modelGroup struct {
	epoch   reflect.Epoch // in force; 0: none
	fenced  []reflect.Epoch
	state   []byte
	blobs   map[blobName][]byte
	chunks  []modelChunk
	deleted []uint64
}

type blobName struct {
	shared bool
	device d2m.DeviceID
}

type modelChunk struct {
	key      uint64
	messages []reflect.Message
	at       []reflect.Location
}

func testHistories(t *testing.T, open Opener) {
	rapid.Check(t, func(rt *rapid.T) {
		m := new(model)
		m.store, m.reopen = open(t)
		for i := range m.groups {
			m.groups[i].blobs = make(map[blobName][]byte)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": m.commit,
			"claim":  m.claim,
			"read":   m.read,
			"reopen": func(*rapid.T) { m.restart() },
		})
		m.restart()
		for i := range m.groups {
			m.check(rt, i)
		}
		if err := m.store.Close(); err != nil {
			rt.Fatalf("Close: %v", err)
		}
	})
}

func (m *model) restart() {
	m.store = m.reopen()
	for i := range m.groups {
		m.groups[i].epoch, m.groups[i].fenced = 0, nil
	}
}

// claim claims a group and compares all of it.
func (m *model) claim(t *rapid.T) { m.check(t, rapid.IntRange(0, modelGroups-1).Draw(t, "group")) }

func (m *model) check(t tb, i int) {
	g := &m.groups[i]
	want := content{state: g.state}
	for name, data := range g.blobs {
		want.blobs = append(want.blobs, reflect.Blob{Shared: name.shared, Device: name.device, Data: data})
	}
	slices.SortFunc(want.blobs, func(a, b reflect.Blob) int {
		if a.Shared || b.Shared {
			return map[bool]int{true: -1, false: 1}[a.Shared]
		}
		return cmp.Compare(a.Device, b.Device)
	})
	for _, c := range g.chunks {
		want.messages = append(want.messages, c.messages...)
	}
	snapshot := expect(t, m.store, groupOf(i), want)
	if g.epoch != 0 {
		g.fenced = append(g.fenced, g.epoch)
	}
	g.epoch = snapshot.Epoch
}

// read reads some messages of a group, deleted ones too.
func (m *model) read(t *rapid.T) {
	i := rapid.IntRange(0, modelGroups-1).Draw(t, "group")
	g := &m.groups[i]
	if g.epoch == 0 {
		wantError(t, m.store, groupOf(i), 0, reflect.ErrFenced)
		return
	}
	for _, c := range g.chunks {
		for j, got := range read(t, m.store, groupOf(i), g.epoch, c.at) {
			if !sameMessage(got, c.messages[j]) {
				t.Fatalf("message %d of chunk %d is %+v, want %+v", j, c.key, got, c.messages[j])
			}
		}
	}
	for _, key := range g.deleted {
		err := m.store.Read(groupOf(i), g.epoch, []reflect.Location{{Key: key, Offset: 32, Size: 36}}, func(int, []byte) error { return nil })
		if err == nil {
			t.Fatalf("chunk %d is deleted and can be read", key)
		}
	}
}

// commit stores a batch for some of the groups in one call, some of them with a claim that is not in force.
func (m *model) commit(t *rapid.T) {
	var batches []*reflect.Batch
	var apply []func(key uint64)
	for i := range m.groups {
		if !rapid.Bool().Draw(t, "take part") {
			continue
		}
		b, done := m.batch(t, i)
		batches, apply = append(batches, b), append(apply, done)
	}
	if len(batches) == 0 {
		return
	}
	for i, err := range m.store.Commit(batches) {
		switch {
		case apply[i] == nil && err != reflect.ErrFenced:
			t.Fatalf("batch %d with an old claim: %v", i, err)
		case apply[i] != nil && err != nil:
			t.Fatalf("batch %d: %v", i, err)
		case apply[i] != nil:
			apply[i](batches[i].Key)
		}
	}
}

// batch draws a batch. apply carries it out on the model; it is nil if the claim is not in force.
func (m *model) batch(t *rapid.T, i int) (b *reflect.Batch, apply func(key uint64)) {
	g := &m.groups[i]
	b = &reflect.Batch{Group: groupOf(i), Epoch: g.epoch}
	if len(g.fenced) > 0 && rapid.IntRange(0, 9).Draw(t, "use an old claim") == 0 {
		b.Epoch = rapid.SampledFrom(g.fenced).Draw(t, "old claim")
	}
	b.Erase = rapid.IntRange(0, 9).Draw(t, "erase") == 0
	for _, c := range g.chunks {
		if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
			b.Delete = append(b.Delete, c.key)
		}
	}
	var messages []reflect.Message
	var at []reflect.Location
	if rapid.Bool().Draw(t, "append") {
		for range rapid.IntRange(0, 3).Draw(t, "messages") {
			m.n++
			messages = append(messages, message(m.n))
		}
		b.Chunk, at = chunkOf(b.Group, messages...)
	}
	if rapid.Bool().Draw(t, "write state") {
		b.State = rapid.SliceOfN(rapid.Byte(), 3, 2000).Draw(t, "state")
	}
	for range rapid.IntRange(0, 2).Draw(t, "blobs") {
		blob := reflect.Blob{Shared: rapid.Bool().Draw(t, "shared")}
		if !blob.Shared {
			blob.Device = d2m.DeviceID(rapid.IntRange(0, 3).Draw(t, "device"))
		}
		if rapid.Bool().Draw(t, "keep") {
			blob.Data = rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "data")
		}
		b.Blobs = append(b.Blobs, blob)
	}
	if b.Epoch == 0 || b.Epoch != g.epoch {
		return b, nil
	}
	return b, func(key uint64) { g.apply(b, modelChunk{key: key, messages: messages, at: at}) }
}

// apply carries out a batch, part by part.
func (g *modelGroup) apply(b *reflect.Batch, chunk modelChunk) {
	if b.Erase {
		for _, c := range g.chunks {
			g.deleted = append(g.deleted, c.key)
		}
		g.state, g.blobs, g.chunks = nil, make(map[blobName][]byte), nil
	}
	g.chunks = slices.DeleteFunc(g.chunks, func(c modelChunk) bool {
		gone := slices.Contains(b.Delete, c.key)
		if gone {
			g.deleted = append(g.deleted, c.key)
		}
		return gone
	})
	if b.Chunk != nil {
		for i := range chunk.at {
			chunk.at[i].Key = chunk.key
		}
		g.chunks = append(g.chunks, chunk)
	}
	if b.State != nil {
		g.state = b.State
	}
	for _, blob := range b.Blobs {
		name := blobName{blob.Shared, blob.Device}
		if blob.Data == nil {
			delete(g.blobs, name)
		} else {
			g.blobs[name] = blob.Data
		}
	}
}
