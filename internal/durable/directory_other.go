//go:build !unix

package durable

// SyncDirectory does nothing on this system.
func SyncDirectory(string) error { return nil }
