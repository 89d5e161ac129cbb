// Package boltstore keeps device groups in one bbolt file: a [reflect.Store].
//
// # The directory
//
//	mediator.db      everything
//	mediator.lock    empty; locked while a Store is open, so that a second server on the directory is refused
//	mediator.db.new  only for a moment: a file that is about to become mediator.db
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
// # What is never done
//
// A read transaction is never open while a callback runs or for more than a bounded piece of a claim, for while one is
// open the file cannot be mapped anew when it grows, and all commits would wait. Deleted bytes stay in free pages of the
// file until these are used again or the file is copied.
package boltstore
