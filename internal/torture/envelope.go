package main

import (
	"encoding/binary"
	"math/rand/v2"

	"openmediator/d2m"
)

// noise is what envelopes are filled with.
var noise = func() []byte {
	bytes := make([]byte, 2*d2m.MaxEnvelopeSize)
	random := rand.NewChaCha8([32]byte{})
	random.Read(bytes)
	return bytes
}()

// envelope returns one of about a size, at most 65,516 bytes, that is unique in the group.
func (g *group) envelope(size int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ; size < 8; size++ {
		n := g.tiny[size]
		if n>>(8*size) > 0 {
			continue
		}
		g.tiny[size]++
		return binary.LittleEndian.AppendUint64(nil, n)[:size]
	}
	g.serial++
	envelope := make([]byte, size)
	binary.LittleEndian.PutUint64(envelope, g.serial)
	copy(envelope[8:], noise[g.serial%d2m.MaxEnvelopeSize:])
	return envelope
}

// scope returns one of 8 to 1,024 bytes that is unique in the group.
func (g *group) scope(size int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serial++
	scope := make([]byte, max(size, 8))
	binary.LittleEndian.PutUint64(scope, g.serial)
	return scope
}

// drawSize draws the size of an envelope: most are small.
func drawSize(random *rand.Rand) int {
	switch n := random.IntN(1000); {
	case n < 450:
		return random.IntN(64)
	case n < 900:
		return random.IntN(1024)
	case n < 990:
		return random.IntN(8192)
	case n < 998:
		return random.IntN(d2m.MaxEnvelopeSize + 1)
	}
	return d2m.MaxEnvelopeSize
}

// account notes that a message is about to be sent. In a group where a queue may overflow, all slots may be lost from the
// moment when it could have; any other group is finished before.
func (g *group) account(size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent++
	g.bytes += size + 256 // what the server may count besides
	if g.overflows() {
		for _, d := range g.devices {
			d.mayGo(byLimit)
		}
	}
	if g.kind != flooded && (g.sent >= calmMessages || g.bytes >= calmBytes) {
		g.finish()
	}
}

// overflows tells whether some queue may have more than fits. Messages may have waited for a commit or for a lock, so what
// was sent before a slot began counts, too. The group's mu is held.
func (g *group) overflows() bool {
	return g.kind == flooded && (g.sent >= maxQueueMessages || g.bytes >= maxQueueBytes)
}
