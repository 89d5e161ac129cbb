// Package frames compares ways of reading and writing WebSocket frames: on each of 100 connections the client writes bursts
// of messages in one system call, and the server answers each message with a short one, as the mediator answers a Reflect
// with an ack. The libraries are used as their documentation shows: one read and one write per message.
package frames
