package chatproxy

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"openmediator/d2m"
)

// A session is counted by what has ended it: after a device has left, that was it, however the chat server takes it.
func TestStatsOfEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(t *testing.T, conn net.Conn, d *testDevice)
		want Stats
	}{
		"device leaves": {
			func(_ *testing.T, conn net.Conn, d *testDevice) { d.Leave(); conn.Close() },
			Stats{EndedByDevice: 1},
		},
		"chat server closes": {
			func(_ *testing.T, conn net.Conn, _ *testDevice) { conn.Close() },
			Stats{EndedByChatServer: 1},
		},
		"chat server announces too much": {
			func(t *testing.T, conn net.Conn, _ *testDevice) {
				write(t, conn, append(append(serverHello(), loginAck()...), 0xff, 0xff))
			},
			Stats{EndedByFault: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network, d *testDevice) {
				c.end(t, n.connect(t, d), d)
				synctest.Wait()
				c.want.Began, c.want.Reached, c.want.BytesUp, c.want.Configured = 1, 1, 1, true
				if got := d.proxy.Stats(); got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
			})
		})
	}
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		n.refuse = errors.New("refused")
		d.Send([]byte{1})
		d.expectEnd(d2m.CloseChatServerUnreachable)
		if got, want := d.proxy.Stats(), (Stats{Began: 1, EndedUnreachable: 1, Configured: true, LastFailed: true}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
