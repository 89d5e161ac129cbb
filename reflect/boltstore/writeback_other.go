//go:build !linux

package boltstore

import "os"

// writeBack has what was written to a file carried to the disk. Here that takes a sync.
func writeBack(file *os.File) error { return file.Sync() }
