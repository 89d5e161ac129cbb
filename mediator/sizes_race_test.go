//go:build race

package mediator_test

// With the race detector a frame takes twenty times as long, and a sync.Pool forgets a quarter of what it is given: buffers
// of 16 KiB and more are allocated anew, for thousands of frames each.
const (
	emptyFrames     = 200_000
	emptyFrameBytes = 16 // that may be allocated for each: no less than the smallest that would be allocated for each
)
