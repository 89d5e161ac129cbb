package devicegroup

// Tally is how often something has happened in a group. It names nobody.
type Tally struct {
	Reflected  int64 // messages taken from devices: to be stored, or in a transaction; ephemerals not counted
	Ephemerals int64 // taken from devices
	Delivered  int64 // messages given to connections, ephemerals included; one counts for each device
	Acked      int64 // messages taken out of a device's queue since the device has them
	Begun      int64 // transactions that have got the lock
	Committed  int64 // transactions whose commit is durable
	Aborted    int64 // transactions of which nothing has happened, or, if the store has failed, nobody knows
}

// Tally returns what has happened since the last call.
func (g *Group) Tally() Tally {
	t := g.tally
	g.tally = Tally{}
	return t
}
