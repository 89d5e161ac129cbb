// Package chatflow is the test of the way of a chat message as a whole: two users with three devices each exchange
// thousands of messages through a real mediator and a real chat server, over TCP and with all of it on disk, while
// connections are cut: mostly that of the device that leads, sometimes that of another, sometimes one between the mediator
// and the chat server.
//
//	go test ./internal/chatflow                              as part of every test run
//	go test ./internal/chatflow -chatflow.messages 30000     for longer; make integration does with 10000
//	go test ./internal/chatflow -chatflow.seed 17 -v         the cuts of another run
//
// Each message must come exactly once to each device of its receiver, and to the sender's other devices. In the end neither
// server may keep one, and neither may have been able to read one: all that they got and all of their files is searched
// for what the messages say.
//
// What travels between the mediator and the chat server is sealed, but by a key of the chat server's, so looking for a text
// there proves nothing. That is why a tap stands between them that speaks the protocol to both sides and sees what the
// chat server sees. What devices send to the mediator is recorded on their side, and searched without the masks of
// WebSocket. That the search finds what is there is shown by a message that is sent in the clear.
//
// When connections are cut is decided by the number of messages that were sent, which ones by the seed. How the system
// schedules the rest is not, so that a failure may need several runs with its seed to come again.
package chatflow
