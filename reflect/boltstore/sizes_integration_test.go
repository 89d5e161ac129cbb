//go:build integration

package boltstore

// The full sizes of tests that are smaller without the tag (sizes_test.go).
const (
	historyChecks = "1000" // random histories that each store plays
	damagedFiles  = 2000
	churnBytes    = 256 << 10 // of each chunk of a year of churn
)
