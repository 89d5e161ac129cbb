// Package metrics tells Prometheus how a server is. It names nobody: no metric has a label for a group, a device, a connection or
// an address (B42), and how many there are of each is bounded by what the protocol knows, not by its users.
//
// All values are read when somebody asks. What the server counts as it goes costs it an addition each (see mediator.Stats);
// what is known by looking through the whole store ([Census]) is looked up in the background, at most once a minute, and
// only while somebody asks.
//
// Names begin with mediator_, but for those of the Go runtime (go_) and the process (process_).
package metrics
