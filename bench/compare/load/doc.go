// Package load drives a message broker with the work that a mediator has: in each group of three devices one sends, with a
// window of messages that are not acknowledged yet, and two receive and acknowledge.
//
// A run has phases, a short one to warm up and one that is measured. A phase ends when what was sent in it has been
// acknowledged to its sender and has been received by both others, and its figures count all of that time: a broker
// gains nothing by leaving deliveries for later. Messages carry their number, and a receiver that misses one, or sees two in
// another order, ends the run.
//
// The load generator is this process and the broker another one; they share the machine's cores. So that the generator is
// not what is measured, a client writes many messages in one system call, reads all that has come in one, and allocates
// nothing per message.
package load
