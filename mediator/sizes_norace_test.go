//go:build !race

package mediator_test

const (
	emptyFrames     = 400_000
	emptyFrameBytes = 1 // that may be allocated for each
)
