//go:build race

package devicegroup_test

// normalSteps is low with the race detector: the core and the model have one goroutine, in which it finds nothing.
const normalSteps = 20_000
