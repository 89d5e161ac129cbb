// Package csp is the chat server protocol: the codec, both sides of the
// handshake, the boxes that two clients exchange, and the framer that cuts a chat
// server's stream into units.
//
// # A connection
//
// The client says hello (48 bytes), the server answers (80), the client logs in
// (144, and the extensions behind them), the server acks (32). From then on both
// send frames: u16 length · box. [ClientHandshake] and [ServerHandshake] turn the
// bytes of the one into the bytes of the other and end in a [Session], which
// seals and opens a frame's [Payload]. All integers are little-endian.
//
//	client                                  server
//	NewClientHandshake                      NewServerHandshake
//	Hello            -- 48 bytes -->        Hello
//	Login            <-- 80 bytes --
//	                 -- 144 bytes -->       Login
//	                 -- extensions -->      Extensions   (if there are any)
//	                                        Authenticate (in either order with it)
//	Finish           <-- 32 bytes --        Finish
//	Session          <-- frames -->         Session
//
// Each box is XSalsa20-Poly1305. Its nonce is the cookie of its sender and the
// number of the box, u64 from 1: each box of a side counts, those of the handshake
// too, whichever key they have. So a box is good for one place in one connection,
// and nothing can be left out, repeated or moved.
//
// The server proves itself by the box in its hello, which takes its permanent
// secret key to make. The client does by the vouch in its login: a hash whose key
// takes the client's secret key to compute, or both of the server's.
//
// # Messages
//
// [Message] is what an outgoing and an incoming message hold. To the server it is
// a header; [SealMessage] and [SealMetadata] make its two boxes, between clients.
//
// # What is refused
//
// All that a peer sends may be wrong: each parser returns an error for it and none
// panics. An error of a handshake or of [Session.Open] means that the connection
// is to be ended, without a word. Reserved bytes have any value. An identity inside
// of a message may be any eight bytes, because nobody is known by a wrong one; only
// a login's has to be well-formed.
//
// Error texts hold lengths and numbers of the protocol and never contents, so that
// they may be logged. Handshakes, sessions, logins and cookies print without their
// secrets, whatever the verb.
//
// # What it never does
//
// It does no I/O, starts no goroutine, reads no clock and has no randomness but
// that of the reader it is given. It keeps no message ids or nonces: refusing a
// message that comes twice is up to the client.
package csp
