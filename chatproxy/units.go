package chatproxy

import (
	"sync"

	"openmediator/d2m"
)

// units are D2M messages one behind the other, each with a unit in it.
type units struct {
	data []byte
	ends []int // where each ends
}

// unitsBuffers are empty. While nothing waits for a device its session has none.
var unitsBuffers = sync.Pool{New: func() any { return &units{data: make([]byte, 0, maxWaiting)} }}

func (u *units) add(unit []byte) {
	u.data = d2m.Proxy{Data: unit}.Append(u.data)
	u.ends = append(u.ends, len(u.data))
}

// size is in bytes; that of nil is 0.
func (u *units) size() int {
	if u == nil {
		return 0
	}
	return len(u.data)
}

// recycle keeps the buffer for others.
func (u *units) recycle() {
	u.data, u.ends = u.data[:0], u.ends[:0]
	unitsBuffers.Put(u)
}
