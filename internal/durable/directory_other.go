//go:build !unix

package durable

import "os"

// SyncDirectory does nothing on this system.
func SyncDirectory(string) error { return nil }

// GiveToOwner has nobody to give to on this system.
func GiveToOwner(*os.File) {}
