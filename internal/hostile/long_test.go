//go:build integration

package hostile

import (
	"testing"
	"testing/synctest"
)

// What is tried if there is time; size_test.go has the rest.
const (
	// whole says that each case is tried in every state, and each script played.
	whole = true

	// empties is how many frames or messages a test sends that hold nothing.
	empties = 200_000

	// emptyGrowth is how many bytes of memory they may cost, the sender's own included.
	emptyGrowth = 8 << 20
)

// TestOverTLSAttack is what takes longer of TestOverTLS.
func TestOverTLSAttack(t *testing.T) { attackAgain(t) }

// TestAnnouncedAttack is the same behind a proxy that speaks the PROXY protocol.
func TestAnnouncedAttack(t *testing.T) { attackAgain(t) }

// TestInvitedAttack is the same at a server that one has to be invited to.
func TestInvitedAttack(t *testing.T) {
	rooms.Store(t.Name(), t.TempDir())
	attackAgain(t)
}

func attackAgain(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"chopped anywhere": TestB40_ChoppedAnywhere,
		"cut anywhere":     TestB44_CutAnywhere,
		"lengths":          TestB40_RFC6455_Lengths,
		"close codes":      TestB40_B45_RFC6455_CloseCodes,
		"pings":            TestB40_RFC6455_Pings,
		"fragments":        TestB40_RFC6455_Fragments,
		"among fragments":  TestB40_RFC6455_ControlFramesAmongFragments,
		"empty":            TestB44_EmptyByTheHundredThousand,
		"scripts":          scripts,
	} {
		t.Run(name, test)
	}
}

// scripts plays the seeds of FuzzServer.
func scripts(t *testing.T) {
	for _, script := range seeds() {
		synctest.Test(t, func(t *testing.T) { play(t, script) })
	}
}
