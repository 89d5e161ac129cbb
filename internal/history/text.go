package history

import (
	"fmt"
	"strings"
)

// String implements fmt.Stringer: all that happened, device by device, in lines as those of a Violation.
func (h *History) String() string {
	c := newChecker(h)
	c.prepare()
	v := c.violation("", nil, "")
	var b strings.Builder
	for number, server := range h.Servers {
		if server.Killed {
			fmt.Fprintf(&b, "server %d was killed at %.4fs\n", number+1, server.At.Seconds())
		}
	}
	for d := range h.Devices {
		fmt.Fprintf(&b, "device %d\n", h.Devices[d].ID)
		for i := range h.Devices[d].Events {
			e := &h.Devices[d].Events[i]
			fmt.Fprintf(&b, "    %9.4fs  %s\n", e.At.Seconds(), v.describe(e))
		}
	}
	return b.String()
}
