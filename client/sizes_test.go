//go:build !integration

package client_test

// chatsWhileCutOff is how many messages are sent while devices lose their connections; with the tag they are many more
// (sizes_integration_test.go).
const chatsWhileCutOff = 100
