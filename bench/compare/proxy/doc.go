// Package proxy measures proxies that stand between a device and its chat server, with the load of `mediator bench proxy`:
// a frame of 200 bytes that goes to and fro, then frames of 8 KiB up, one per write, then frames of 8 KiB down. There is one
// connection. This process plays the device and the chat server; the proxy is another process.
package proxy
