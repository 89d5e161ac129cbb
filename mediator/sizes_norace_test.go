//go:build !race

package mediator_test

const (
	emptyFrames     = 1_000_000
	emptyFrameBytes = 1 // that may be allocated for each
)
