// Package client is the device's side: the Go SDK for whoever wants to be a device of
// a group. The tests of this project and its command line are such devices.
//
// # A device
//
// Connect and Start make a [Device]. It registers with the server, stays connected,
// and comes back when a connection is lost: after a random wait that grows from
// failure to failure. After a close code of 41xx it does not come back, for those
// tell something that does not mend itself; [Device.Err] has the code then. Whoever
// uses a device learns what happens from the functions in [Config], which are called
// one at a time and in order.
//
// # What is promised
//
// Reflect returns without an error when the server has the envelope on disk. An
// [UnknownError] means that it may have got it: the connection or the context ended
// between sending and answer. Any other error means that it has not been sent and
// never will be.
//
// A message is acknowledged when Receive has returned nil, never before; until then
// it stays on the server and comes again with the next connection. Messages are
// handed on in the order that all devices of the group see. Each envelope is handed
// on once as long as the [NonceStore] remembers its nonce, however often the server
// delivers it; but a process that ends between the end of Receive and the nonce's
// storing will see it again.
//
// Nothing grows without limit. 64 messages wait for Receive, then the connection is
// not read any more; 64 requests wait for the connection, then submitting waits; 256
// are ahead of their answers. That is also why Receive must not wait for an answer of
// the server: it would wait for messages that wait for it ([ErrInReceive]).
//
// # Registration
//
// A device must know whether the server has a slot for it, and is refused if it errs
// (4115). So whoever keeps a device in a file stores what OnRegistered tells before
// that returns, and starts the device with Registered the next time. A device that
// was dropped, by itself or by another, starts anew without.
//
// # Transactions
//
// What all devices share is changed under the group's lock, so that no two devices
// overwrite each other: [Device.Transaction] waits for the lock, runs a function that
// reflects through a [Transaction], and commits. The others see all of it or nothing,
// and what this device reflects elsewhere meanwhile does not get into it.
//
// # What it never does
//
// It does not reflect anything again by itself: what is to happen with an unknown
// outcome only the caller can know ([Device.ReflectSealed] makes it safe). It does
// not acknowledge on one connection what another has delivered. It does not tell the
// server anything of the keys but the proof of having them. It does not run the
// work of a transaction twice. It does not talk to a chat server.
package client
