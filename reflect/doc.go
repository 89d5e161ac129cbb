// Package reflect is the reflection queue of one device group: what has been reflected and not yet been acknowledged by
// every device, in the one order that all of them see.
//
// # What is here
//
//   - [Queue] and [Cursor]: the index of the queue and each slot's place in it. Pure data, no goroutine, lock, clock or
//     file; the group's core (package devicegroup) owns them.
//   - [Chunk], [State]: what is stored, byte for byte. A chunk is what one commit appends for a group; the state is the
//     small record that says who waits for what.
//   - [Store]: what keeps them. Package boltstore is one, package memstore another, and package storetest is the suite
//     that every one of them passes.
//   - [Committer]: collects what many groups want to have stored into one call of the store.
//
// # Invariants
//
// A message is appended once and deleted once, never changed (B17). It is waited for by the slots that existed when it
// was accepted, without its sender's (B14), until each has acknowledged it; which slots these are follows from the
// cursors alone, so a deletion that a crash undoes is made good by the next claim. Numbers rise with the order of
// delivery and none is used twice for a slot, a restart included: they are drawn below a bound that was stored before.
//
// The package never opens a file or a socket and never looks into an envelope.
package reflect
