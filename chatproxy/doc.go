// Package chatproxy connects devices to the chat server: one TCP connection per device, which the chat server sees come
// from here (B35 to B39).
//
// A [Proxy] knows which chat servers there are and how they are reached. A [Session] is one device's part of it. It is
// opened when the device has sent its first byte, connects once it is started, and ends with the device's connection:
// either side's end is the other's.
//
//	device → Send → upstream
//	device ← Take ← up to 64 KiB wait ← unit by unit ← up to 64 KiB, which hold the largest unit ← upstream
//
// What the device sends is not looked at. What the chat server sends is cut into units, for a device expects one unit
// per message (B36). Nothing is kept for a chat server that is connected: a device is not read while that takes nothing.
// What waits for the device is bounded, at 64 KiB, and so is what a device sends before there is a connection, at 16 KiB or
// one message; whoever gives more waits (B38). So does whoever exceeds the rate of [Config].
//
// # What it never does
//
// It connects to no address that was not configured: a device chooses among chat servers by the name of its server group,
// which a template only takes as a part of the first label. If a SOCKS proxy is configured and does not answer, nothing goes
// around it. The chat server learns nothing from here but an address (B39). Nothing here writes a log, and the cause in
// an [End] is not for one: it holds addresses.
package chatproxy
