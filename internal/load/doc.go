// Package load puts a mediator under load and measures it, for `mediator bench`. It is a client that knows the wire and
// little else, so that on a machine that it shares with the server most of the processor is left to that: raw WebSocket
// frames with a masking key of zero, many of them per system call in both directions, one goroutine per connection and
// nothing allocated per message.
//
// # What is measured
//
//   - [Server.Reflect]: in each group one device sends, all others that are there receive and acknowledge. How many
//     messages per second are acked, how long an ack takes and how long it takes until another device has the message.
//   - [Server.Login]: devices that have their slot connect, log in and leave, again and again.
//   - [Server.Proxy]: the way to a chat server that this package plays itself: round trips, and bytes in each direction.
//   - [Server.Idle]: what connections cost that do nothing. It needs the server's process.
//
// Nothing is believed: each message carries its number and its time, each receiver checks that it gets every number once
// and in order and the content as it was sent, and in the end all that was sent must have been acked and delivered.
// Anything else ends the measurement with an error.
//
// # Latency
//
// Without a think time a sender keeps its window full: it sends as soon as an ack makes room, so what counts as latency is
// from there. With a think time there is a schedule that does not depend on the server, drawn from the seed before anything
// is sent, and latency counts from the time at which a message was due: one that the window or a blocked write held up has
// waited, though it was not sent yet (coordinated omission). What is not the server's fault is kept apart: if the sender
// stood ready and only the timer of this process came late, the latency counts from the sending, and the lateness has a
// distribution of its own (timer_lateness).
//
// Latencies are kept in a [Histogram] that is at most 1/128 too high. A percentile is the smallest value that so many
// percent of the measured ones do not exceed.
//
// # What it leaves behind
//
// Devices have slots that expire with their connections if the server is a foreign one, and drop themselves in the end.
// Keys are random and do not follow from the seed, so that two measurements do not meet.
//
// # JSON
//
// Each result is one JSON object. These names are stable; more may be added. Times end in _s (seconds) or _us
// (microseconds). What begins with server_ needs the server's process and is missing without (a foreign server, or no
// /proc).
//
// All results have
//
//	measurement    "reflect", "login", "proxy" or "idle"
//	server         the address of the server
//	store          "disk" or "none" for a server of bench's own, "unknown" for a foreign one
//	seed           what decides contents and think times
//	duration_s     how long was measured, without warm-up
//	load_cpu_s     user and system time that this process took in it
//	server_cpu_s   the same of the server
//
// A latency is an object
//
//	count, mean_us, p50_us, p90_us, p99_us, max_us
//
// reflect has
//
//	groups, devices, window, size            devices per group, messages, bytes
//	away                                     devices per group that have a slot and are not connected
//	think_s, single_acks, warm_up_s          as asked for
//	acked, delivered                         messages within duration_s; delivered counts each receiver
//	acked_per_s, delivered_per_s
//	ack_latency, delivery_latency            of messages that were due within duration_s
//	overdue                                  messages of ack_latency that had no room in the window up to the end
//	timer_lateness                           see Latency; missing without a think time
//	load_cpu_s_per_100000                    per 100,000 acked messages
//	server_cpu_s_per_100000
//	server_rss_bytes                         at the end
//
// login has
//
//	groups, devices, connections             devices of all groups take turns on so many connections at once
//	logins, logins_per_s
//	login_latency                            from the TCP connection to ServerInfo
//	logins_per_server_cpu_s                  per second of one core
//
// proxy has
//
//	connections, round_trip_size, frame_size   bytes, the two of a chat frame's length included
//	round_trips, round_trips_per_s, round_trip_latency
//	up_bytes_per_s, down_bytes_per_s           of chat frames, on all connections together
//	up_server_cpu_s_per_gib, down_server_cpu_s_per_gib
//	server_cpu_s_per_100000                    per 100,000 round trips; server_cpu_s and load_cpu_s are of the round trips
//
// idle has
//
//	connections, devices                       devices per group
//	server_rss_before_bytes, server_rss_bytes  after a garbage collection each, without and with the connections
//	server_bytes_per_connection                what they differ by, per connection
//	connect_s                                  how long it took to log them in
package load
