// Package boltstore keeps device groups in one bbolt file: a [reflect.Store].
//
// # The directory
//
//	mediator.db          everything
//	mediator.lock        empty; locked while a Store is open, so that a second server on the directory is refused
//	mediator.db.new      only for a moment: a file that is about to become mediator.db
//	mediator.db.compact  the copy, while a compaction is in progress
//	mediator.db.v0       what mediator.db was before it was migrated from this version, until the next compaction
//	mediator.restore     a directory: what a backup holds is moved to its places (package backup); Open refuses meanwhile
//	mediator.restore.new a directory: what a backup holds, before it is moved
//
// Those with new and compact are removed when the directory is opened: what they hold is in mediator.db, or was never to
// be the server's.
//
// What this package makes has mode 0600, directories 0700, whatever the umask; modes of what was there before are left
// alone. A directory is synced after a file in it was made or replaced.
//
// # The file
//
// Four buckets (bucketMeta and the following say their keys and values). Chunks of all groups stand in one bucket under
// one rising number, so that a commit appends at one place however many groups it carries; which chunks are a group's is
// kept in memory, 8 bytes per chunk, and found by one scan when the file is opened. The number is never used again, not
// after a restart either.
//
// # Commits
//
// One call of Commit is one bolt transaction, deletions included. The free list is not written but found again at open.
// Calls are carried out one after the other; [reflect.Committer] makes one call of what many groups want.
//
// # Failure
//
// When a commit fails it is not known what is in the file: bbolt syncs after it has written its meta page, so a change
// can be visible and be lost later, or be reported as failed and stay. The same holds when bbolt panics or the memory map
// faults, in a read too. So nothing of the file is trusted from then on: every claim is void, and whatever is asked for
// one is answered with reflect.ErrUnavailable. The next Claim, but at most one in a second, makes the store sound again:
// it copies what the last successful commit held, and nothing else, into a new file, syncs it, puts it in place of the
// old one and opens that. Only then are groups claimed again (B43). While that does not succeed, Claim returns
// reflect.ErrUnavailable. One failure needs no copy: when the disk is full and refuses a write before the meta page was
// written, the old file is opened again as it is, since no room would be left for a copy.
//
// After a panic in a commit the old file's memory map is not released until the process ends: bbolt may hold its locks.
//
// # Compaction
//
// Deleted bytes stay in free pages of the file until these are used again, and the file never gets smaller by itself. So
// from time to time a copy takes its place that holds only what is stored (B17); see Store.Compact and
// Options.CompactEvery. Keys, offsets, claims and epochs stay as they are, so nobody notices:
//
//   - The copy is made entry by entry, in key order, in short read transactions with pauses, and carried to the disk in
//     small pieces, so that no commit waits for much of it. It is not synced by that: each sync makes the file system
//     commit its journal, and commits would have to wait for those too. From a chunk that waits for the sake of some of
//     its messages the envelopes of the others are taken out.
//   - Meanwhile a journal names each entry that a commit has changed after it was copied. These are copied again, in
//     rounds, until few are left; the copy is synced each time. If commits are faster, or the disk is nearly full, the
//     compaction is given up.
//   - Then commits wait while the last few entries are copied, up to switchEntries and switchBytes, and synced. The copy is
//     renamed and the directory synced. A crash leaves the old file before the rename and the new one behind it, and both
//     hold all that was committed.
//   - When the directory cannot be synced it is not known which file has the name; that is a failure as above.
//   - Whoever reads the old file ends that in peace. Then it is closed and, having no name, gone.
//
// What is deleted while a compaction runs may have been copied before. It goes with the next one, which therefore begins
// a little earlier than CompactEvery after the first deletion.
//
// # Versions
//
// The file says which version of its format it has. A newer one is refused, and not touched. Of an older one a copy is kept,
// and another copy is migrated and put in its place; a crash leaves the old or the new file. The copy that is kept goes with
// the next compaction (B17), and is no way back: devices have seen what came after it.
//
// # Copies
//
// Export hands on what a store holds while it is in use, the way that a compaction reads it; Import makes a store of that,
// and moves it ahead of what devices may have seen since (B14). Verify looks through a store that nobody uses.
//
// # What is never done
//
// A read transaction is never open while a callback runs or for more than a bounded piece of a claim or of a compaction,
// for while one is open the file cannot be mapped anew when it grows, and all commits would wait.
package boltstore
