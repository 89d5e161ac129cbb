package devicegroup

import (
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// Bounds of what a connection may make the server hold for it (B21, B44), bytes.
const (
	// MaxUnsent is of answers to its own requests that are not sent: above it the connection is not read.
	MaxUnsent = 64 << 10
	// MaxUnstored is of what it has reflected and is not stored: above it the connection is not read.
	MaxUnstored = 1 << 20
	// MaxEphemeral is of ephemerals that wait for their place in its stream: further ones are lost for it.
	MaxEphemeral = 256 << 10

	// reflectOverhead is what a Reflect that waits for the store takes beside its envelope.
	reflectOverhead = 128
	// beginOverhead is what a BeginTransactionAck in the stream takes, and the CommitTransactionAck that may be behind it.
	beginOverhead = 128
	// flushSize is how much Next hands out at a time.
	flushSize = 64 << 10
)

// Conn is a connection in the hands of its group: what is still to be sent on it, in which order.
type Conn struct {
	// Handle is the caller's, for finding its own part of the connection.
	Handle any

	slot     *slot     // nil once the connection has left the group, or if it was refused
	open     bool      // ServerInfo may go out
	informed time.Time // when ServerInfo was written
	dry      bool      // ReflectionQueueDry is on its way or sent
	ended    bool      // nobody takes what is sent
	woken    bool

	ahead   Frames   // goes out before anything of the stream
	placed  []placed // has a place in the stream, in this order
	cursor  uint64   // messages below it have been handed out
	given   uint64   // highest number handed out; 0: none
	closing *Close   // goes out after ahead

	begins     int      // BeginTransactionAcks that are not handed out
	committing bool     // its device has sent CommitTransaction, and that is not durable yet
	backlog    [][]byte // what it has sent since

	unstored  int // cost of what waits for the store
	unsent    int // bytes of answers that wait for the store
	ephemeral int // bytes of ephemerals in placed
}

// Close is how a connection ends: the code, and a reason of at most d2m.MaxCloseReasonSize bytes.
type Close struct {
	Code   d2m.CloseCode
	Reason string
}

// placed is a frame with a place in the stream: it goes out when all messages below that number have.
type placed struct {
	at    uint64
	frame []byte
	mark  mark
}

// mark says which placed frames need something to be done when they are handed out, or while they wait.
type mark uint8

const (
	markNone      mark = iota
	markEphemeral      // it counts against MaxEphemeral
	markBegin          // it is a BeginTransactionAck
	markEnded          // it is a TransactionEnded: only the last one is kept (B21)
)

// Dry says whether the connection's queue has run dry once (B10).
func (c *Conn) Dry() bool { return c.dry }

// Registered says whether the connection has its slot: it is neither refused nor replaced nor dropped nor ended.
func (c *Conn) Registered() bool { return c.slot != nil }

// Blocked says whether the connection must not be read for the time being (B21). It changes with Committed and Next.
// One that has left the group is read, so that its end is seen.
func (c *Conn) Blocked() bool {
	unsent := c.unsent + len(c.ahead.Data) + c.begins*beginOverhead
	return c.slot != nil && (c.committing || unsent > MaxUnsent || c.unstored > MaxUnstored)
}

// Frames are D2M messages one behind the other.
type Frames struct {
	Data []byte
	Ends []int // where each message ends in Data
}

// Add appends a message, of which it keeps a copy.
func (f *Frames) Add(frame []byte) {
	f.Data = append(f.Data, frame...)
	f.end()
}

func (f *Frames) end() { f.Ends = append(f.Ends, len(f.Data)) }

// Reset empties f and keeps its memory.
func (f *Frames) Reset() { f.Data, f.Ends = f.Data[:0], f.Ends[:0] }

// Output is what is to be sent on a connection, in the order of its fields.
type Output struct {
	Frames
	Fetch []reflect.Location // messages that have to be read from the store, and sent as Reflected (see AppendFetched)
	Close *Close             // the end, if there is one

	fetchNumbers []uint64
	fetchSize    int
	inMemory     bool // Fetch stays empty
}

// Reset empties o and keeps its memory.
func (o *Output) Reset() {
	o.Frames.Reset()
	o.Fetch, o.fetchNumbers, o.fetchSize = o.Fetch[:0], o.fetchNumbers[:0], 0
	o.Close = nil
}

// Empty says whether there is nothing to be done.
func (o *Output) Empty() bool { return len(o.Ends) == 0 && len(o.Fetch) == 0 && o.Close == nil }

func (o *Output) size() int { return len(o.Data) + o.fetchSize }

// AppendFetched appends to the frames the Reflected of the i-th message of Fetch, whose record was read from the store.
func (o *Output) AppendFetched(i int, record []byte) error {
	return o.appendReflected(o.fetchNumbers[i], record)
}

func (f *Frames) appendReflected(number uint64, record []byte) error {
	m, err := reflect.ParseRecord(record)
	if err != nil {
		return err
	}
	f.Data = d2m.AppendReflectedHeader(f.Data, 0, d2m.ReflectedID(number), m.Timestamp)
	f.Data = append(f.Data, m.Envelope...)
	f.end()
	return nil
}

// Next puts into out what is to be sent on c now, up to some 64 KiB and whole messages; what it gave counts as handed
// to the connection. Answers go ahead of the stream, but each call gives something of the stream too (B38).
func (g *Group) Next(c *Conn, out *Output) {
	out.Reset()
	out.Data = append(out.Data, c.ahead.Data...)
	out.Ends = append(out.Ends, c.ahead.Ends...)
	c.ahead.Reset()
	out.Close = c.closing
	if out.Close != nil || !c.open || c.slot == nil {
		return
	}
	for start := len(out.Data); out.size() < start+1 || out.size() < flushSize; {
		if !g.nextOfStream(c, out) {
			break
		}
	}
}

// NextInMemory is Next, but for what would have to be fetched and what is behind that.
func (g *Group) NextInMemory(c *Conn, out *Output) {
	out.inMemory = true
	g.Next(c, out)
	out.inMemory = false
}

// nextOfStream moves one frame of c's stream to out. It reports false if there is none that may go out in this flush.
func (g *Group) nextOfStream(c *Conn, out *Output) bool {
	item, waits := g.queue.Next(c.slot.cursor, c.cursor, g.visible)
	if !waits {
		c.cursor = max(c.cursor, g.visible)
	}
	fetching := len(out.Fetch) > 0
	switch {
	case len(c.placed) > 0 && (!waits || c.placed[0].at <= item.Number):
		if fetching {
			return false
		}
		g.nextPlaced(c, out)
		return true
	case !waits:
		return false
	case item.Chunk.Data == nil && out.inMemory:
		return false
	case item.Chunk.Data == nil:
		out.Fetch = append(out.Fetch, item.At)
		out.fetchNumbers = append(out.fetchNumbers, item.Number)
		out.fetchSize += int(item.At.Size)
	case fetching:
		return false
	default:
		record, err := reflect.Record(item.Chunk.Data, item.At)
		if err == nil {
			err = out.appendReflected(item.Number, record)
		}
		if err != nil {
			panic("devicegroup: message in memory: " + err.Error())
		}
	}
	c.cursor, c.given = item.Number+1, item.Number
	g.tally.Delivered++
	return true
}

func (g *Group) nextPlaced(c *Conn, out *Output) {
	p := c.placed[0]
	c.placed = c.placed[1:]
	out.Add(p.frame)
	switch p.mark {
	case markEphemeral:
		g.tally.Delivered++
		c.ephemeral -= len(p.frame)
		c.given = p.at
	case markBegin:
		c.begins--
	}
}

// Pending says whether Next would give something for c.
func (g *Group) Pending(c *Conn) bool {
	if len(c.ahead.Ends) > 0 || c.closing != nil {
		return true
	}
	if !c.open || c.slot == nil {
		return false
	}
	_, waits := g.queue.Next(c.slot.cursor, c.cursor, g.visible)
	return waits || len(c.placed) > 0
}

// tailChunk is a stored chunk that is kept in memory.
type tailChunk struct {
	*reflect.Chunk
	size int
}

// keep holds a stored chunk in memory until all connections have it, and the older ones as far as there is room.
func (g *Group) keep(chunk *reflect.Chunk) {
	if chunk.Data == nil {
		return
	}
	g.tail = append(g.tail, tailChunk{chunk, cap(chunk.Data)})
	g.tailBytes += cap(chunk.Data)
	g.Trim(g.config.TailBytes)
}

// TailBytes forgets what every connection has been given and returns how much of what is stored is still in memory.
func (g *Group) TailBytes() int {
	handed := g.next
	for _, s := range g.slots {
		if s.conn != nil && s.conn.open {
			handed = min(handed, s.conn.cursor)
		}
	}
	for len(g.tail) > 0 && (g.tail[0].Data == nil || g.tail[0].End() <= handed) {
		g.dropTail()
	}
	return g.tailBytes
}

// Trim forgets the oldest chunks in memory until at most limit bytes are left. They are read from the store then.
func (g *Group) Trim(limit int) {
	for g.tailBytes > limit {
		g.dropTail()
	}
}

func (g *Group) dropTail() {
	g.tail[0].Data = nil
	g.tailBytes -= g.tail[0].size
	g.tail = slices.Delete(g.tail, 0, 1)
}
