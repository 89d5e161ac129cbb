package mediator_test

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	serveSeed  = flag.Uint64("serve.seed", 1, "seed of the first history that is played against the server")
	serveRuns  = flag.Int("serve.runs", serveHistories, "histories that are played against the server")
	serveSteps = flag.Int("serve.steps", 150, "steps of a history that is played against the server")
)

// The model of package devicegroup/model, which knows the rules and nothing of this code, judges what devices get of a
// real server over pipes in fake time: connections that come and go, transactions, a store that fails.
//
// One thing happens at a time, and the store answers when it is told to, so that the order of events is certain. Left
// out is what would make it uncertain: devices that do not read, what is sent behind a CommitTransaction that is not
// stored, the end of its connection meanwhile, logins and time that passes while a commit is in progress, and logins at
// the moment at which a slot expires.
func TestB38_ServerAgainstModel(t *testing.T) {
	reached := make(map[string]int)
	for i := range *serveRuns {
		seed := *serveSeed + uint64(i)
		inBubble(t, func(t *testing.T) {
			p := newServing(t, rand.New(rand.NewPCG(seed, 0)))
			defer p.store.letGo()
			if err := p.play(*serveSteps); err != nil {
				t.Errorf("%v\n%s-serve.seed=%d -serve.runs=1", err, p.transcript.String(), seed)
			}
			p.count(reached)
		})
		if t.Failed() {
			return
		}
	}
	if *serveRuns >= serveHistories { // fewer need not come to everything
		expectReached(t, reached)
	}
}
