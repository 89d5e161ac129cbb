//go:build integration

package mediator_test

import "testing"

// TestOverTLSAttack runs the attacks that take long with TLS between device and server. What the attacker's side of it takes
// counts against the server here.
func TestOverTLSAttack(t *testing.T) {
	t.Run("by every road", TestB44_MemoryByEveryRoad)
	t.Run("unauthenticated", TestB44_UnauthenticatedOfOneAddress)
	t.Run("by many addresses", TestB44_AttackByManyAddresses)
}
