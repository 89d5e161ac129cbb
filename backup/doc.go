// Package backup writes what a data directory holds into one file, and makes a data directory of it again.
//
// # What a backup holds
//
//   - the store: groups, device slots, what devices say of themselves, the messages that wait;
//   - the directory tls: the server's keys and certificates, which clients may have pinned, unless they are left out;
//   - the directory invitations.
//
// It does not hold the configuration, the access list or certificates that the operator keeps elsewhere, nor what a server
// makes anew at each start. Who has the file has what the server has: encrypted envelopes, the ids of groups and devices,
// and the TLS keys in clear.
//
// # The file
//
// A tar archive (USTAR) of regular files, in this order:
//
//	backup.json          what it is: see Info
//	tls/NAME             in the order of their names
//	invitations/NAME     likewise
//	store/00000001       pieces of boltstore.Export, numbered from 1
//	end.json             {"last_key": the last chunk key given}, filled up with spaces to a multiple of 512 bytes
//	sha256               of all bytes of the file before the header of this one, in hexadecimal digits, filled up to 512 bytes
//
// Nothing follows but what ends an archive. So a file that is cut short, or changed anywhere, is found out, and nothing else
// than these names is ever taken from one.
//
// # Writing
//
// [Write] is consistent: it holds the store as it was at one moment, which is when it has almost ended. Commits go on
// meanwhile (boltstore.Store.Export).
//
// # Restoring
//
// [Restore] reads the backup twice: first to see that it is sound, and nothing is written before that. What it makes stands in
// a directory of its own first, and is then moved to its places. While that goes on there is boltstore.RestoringName, and no
// server starts. What is replaced is kept beside it.
//
// Devices may have seen what came after the backup, so the store is moved ahead: see reflect.Snapshot.MoveAhead. What that
// cannot mend is what the server does not know: devices that joined a group since are answered with 4115 (B7), messages of
// the time since are lost for who has not received them, messages that were acknowledged since come again, and devices that
// were dropped and invitations that were used since are there again.
package backup
