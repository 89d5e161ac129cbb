//go:build integration

package chatserver_test

// randomHistories is how many are played; without the tag they are few (sizes_test.go).
const randomHistories = 300
