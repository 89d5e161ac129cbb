//go:build !linux

package boltstore

import (
	"os"
	"testing"
)

func fdatasync(file *os.File) error { return file.Sync() }

func bytesWritten(*testing.B) int64 { return 0 }
