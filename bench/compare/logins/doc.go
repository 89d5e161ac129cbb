// Package logins compares what a server computes for a login: it draws a key pair for the connection and checks that the
// device has put the challenge into a box between that and the group's key. Each way runs in one thread and is counted per
// second of its own CPU time, so that nothing else on the machine matters.
package logins
