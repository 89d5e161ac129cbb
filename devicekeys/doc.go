// Package devicekeys is what the devices of one group know and the mediator never
// does: the keys of the group, and what they encrypt for each other.
//
// # Keys
//
// All keys come from one device group key. Current apps draw it at random and
// hand it from device to device ([FromGroupKey]). In the original scheme it is
// derived from the private key of the user's identity, so that each device that
// holds that arrives at the same group without asking ([FromIdentityKey]). The
// two schemes differ in the salt of the mediator path key, too: one is not the
// other with another start. [Keys] does not tell afterwards which it was.
//
// # Boxes
//
// A box is nonce 24 · XSalsa20-Poly1305, 40 bytes more than the plain bytes. There
// are four kinds, each with a key of its own: envelope, device info, shared device
// data, transaction scope. A box of one kind does not open as another.
//
// The nonce is returned when a box is opened, because a device must remember the
// nonces of envelopes it has processed and discard a repeated one: the mediator
// could play them again. Device info and shared device data repeat legitimately.
//
// # Plain contents
//
// [Envelope], [DeviceInfo] and [Scope] are what apps put into the boxes. Envelope
// and DeviceInfo get a padding of random length, for the length of a box is all
// that the mediator sees of it. What is in the shared device data is up to the
// caller.
//
// # What it never does
//
// It does no I/O beyond reading the random source it is given, keeps no record of
// nonces, and never prints a key.
package devicekeys
