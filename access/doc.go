// Package access decides which device groups a server accepts: all of them, those on a list, or those that were invited.
//
//   - [Access] is the decision. The server asks it about a group only when the device has proved that it holds the group's
//     key (B5, B6), so that nobody learns from an answer, or from the time that it takes, anything of another's group.
//   - [List] is the operator's file of groups that are allowed and of groups that are denied. It is watched; a version in
//     which a line is wrong is refused as a whole, and what was read before stays in force. [Edit] changes a line of it.
//   - [Invitations] is a directory with one file per invitation. A code lets one new group register.
//
// # What beats what
//
// A denied group is never accepted, in any mode. Then, in mode
//
//	open    every group is accepted
//	known   those that the list allows
//	invite  those that the list allows, those that have a device slot in the store, and one new group per code
//
// # The life of an invitation
//
// The code is 130 random bits. The file's name is the beginning of the code's hash, its content is the whole hash and when it
// expires; the code itself is nowhere. The first group that comes with the code is bound to it: the file gets a second part
// of its name, a hash of the group keyed by the code, which means nothing to anybody who has not got the code. That is
// durable before the group's first device is registered, so a crash between the two neither lets a second group in nor
// keeps out the first one, which may come again until the invitation expires. When its device is registered the group is
// known by its slot, and the file goes.
//
// The files are made by a command and renamed and removed by the server; neither needs the other to run.
package access
