package chatserver_test

import (
	"fmt"
	"sync"
	"testing"

	"openmediator/chatserver"
	"openmediator/csp"
)

// BenchmarkMessages measures messages of 500 bytes, sent, stored, acked, delivered, acked and deleted, over TCP on
// loopback. Each sender has up to 32 on their way.
func BenchmarkMessages(b *testing.B) {
	for _, pairs := range []int{1, 16} {
		b.Run(fmt.Sprintf("pairs=%d", pairs), func(b *testing.B) { benchmarkMessages(b, pairs) })
	}
}

func benchmarkMessages(b *testing.B, pairs int) {
	users := make([]user, 2*pairs)
	known := make(chatserver.FixedIdentities)
	for i := range users {
		users[i] = user{csp.Identity(fmt.Appendf(nil, "USER%04d", i)), newKey(b)}
		known[users[i].id] = users[i].key.PublicKey()
	}
	s := overTCP(b, func(c *chatserver.Config) { c.Identities = known })
	clients := make([]*client, len(users))
	for i, u := range users {
		clients[i] = s.login(u, nil)
		clients[i].expectQueue()
	}
	each := b.N/pairs + 1
	b.ResetTimer()
	var done sync.WaitGroup
	for i := range pairs {
		from, to := clients[2*i], clients[2*i+1]
		window := make(chan struct{}, 32)
		done.Go(func() {
			for j := range each {
				window <- struct{}{}
				from.post(from.message(to.user, csp.MessageID(j), box(500)))
			}
		})
		done.Go(func() {
			for range each {
				from.expect(csp.OutgoingMessageAck)
				<-window
			}
		})
		done.Go(func() {
			for range each {
				m, err := csp.ParseMessage(to.expect(csp.IncomingMessage))
				if err != nil {
					b.Error(err)
					return
				}
				to.acknowledge(m)
			}
		})
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64(each*pairs)/b.Elapsed().Seconds(), "messages/s")
	for _, c := range clients {
		c.nc.Close()
	}
}
