//go:build !integration

package boltstore

// The sizes of tests that would take long. Those of sizes_integration_test.go are several times as large.
const (
	historyChecks = "30" // random histories that each store plays
	damagedFiles  = 150
	churnBytes    = 48 << 10 // of each chunk of a year of churn
)
