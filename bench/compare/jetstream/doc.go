// Package jetstream runs NATS JetStream, which comes as a Go module, and maps the work of a mediator to it.
//
// A group is a stream in a file, with one subject, that keeps a message until all consumers have acknowledged it (interest).
// Each device that receives is a durable push consumer with explicit acknowledgements. The sender publishes a window of
// messages in one write, each with a reply subject, on which JetStream acknowledges. Clients speak NATS's own protocol
// directly, many messages per system call.
package jetstream
