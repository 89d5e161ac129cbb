// Package d2m is the wire between a device and the mediator: what each message
// looks like as bytes, the challenge by which a device proves that it belongs to
// its group, the URL it connects to, and the codes a connection ends with.
//
// # Messages
//
// Each WebSocket message is one frame: a container of 4 bytes (payload type,
// three reserved bytes) and a payload, at most 65,536 bytes in all. There is one
// struct for each of the 21 payload types. Append writes a whole frame, [Parse]
// reads one; [Split] and the Parse function of each type are the two halves of
// Parse, for callers that dispatch on the type themselves or must not allocate.
// Protobuf stays inside: outside this package a message is plain Go, its lengths
// are checked and its enum values are ones that the protocol lists.
//
// What is refused here is what is wrong about a frame by itself, whoever sent it
// and whenever: cut short, too long, not protobuf, an unknown type, a key of the
// wrong size, an unlisted enum value (B5), and the limits of what a device may
// send (B11, B29, B33). Every such error means close code 4010 (B40). Whether a
// message may come from that side and at that moment is not decided here; see
// [Type.FromDevice]. Reserved bytes and unknown protobuf fields are ignored.
//
// Append does not check limits: it writes what it is given. Who builds a message
// keeps to the limits; the constants of this package are there for that.
//
// # Ownership of bytes
//
// [Proxy], [Reflect] and [Reflected] point into the frame they were parsed from.
// All other messages own their bytes. Append copies.
//
// # What it never does
//
// It does no I/O, keeps no state, reads no clock, and never panics on what a peer
// sent. Error texts hold lengths and numbers of the protocol and never contents,
// so that they may be logged and sent (B42).
package d2m
