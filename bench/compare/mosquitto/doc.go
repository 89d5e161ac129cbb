// Package mosquitto runs Mosquitto and maps the work of a mediator to MQTT 3.1.1.
//
// A group is a topic, and its sender publishes to it with QoS 1. The receivers have persistent sessions (clean session off)
// and subscribe with QoS 1, so that a message is kept for a device until it acknowledges it (PUBACK). Clients write a window
// of packets at once, and so do receivers with their acknowledgements.
//
// Mosquitto acknowledges from memory. In its most durable setting it writes all that it holds to its file, without a sync,
// in each turn in which something has changed.
package mosquitto
