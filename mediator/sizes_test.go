//go:build !integration

package mediator_test

// The sizes of tests that would take long. Those of sizes_integration_test.go are several times as large.
const (
	serveHistories    = 40 // enough to come to every case
	greedyConnections = 6
)
