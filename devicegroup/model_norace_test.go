//go:build !race

package devicegroup_test

// normalSteps is how many steps the random histories have together if nothing is asked for.
const normalSteps = 100_000
