//go:build integration

package mediator_test

// The full sizes of tests that are smaller without the tag (sizes_test.go).
const (
	serveHistories    = 1000
	greedyConnections = 100
)
