//go:build !integration

package hostile

// What is tried on every machine, so that it takes a few seconds. The whole is in long_test.go.
const (
	whole       = false
	empties     = 40_000
	emptyGrowth = 2 << 20
)
