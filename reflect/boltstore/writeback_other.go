//go:build !linux

package boltstore

import "os"

// WriteBack has what was written to a file carried to the disk. Here that takes a sync.
func WriteBack(file *os.File) error { return file.Sync() }
