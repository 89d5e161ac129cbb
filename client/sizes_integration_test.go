//go:build integration

package client_test

// chatsWhileCutOff is how many messages are sent while devices lose their connections; without the tag they are few
// (sizes_test.go).
const chatsWhileCutOff = 1000
