//go:build !integration

package chatserver_test

// randomHistories is how many are played; with the tag they are many more (sizes_integration_test.go).
const randomHistories = 8
