package boltstore

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func fdatasync(file *os.File) error { return unix.Fdatasync(int(file.Fd())) }

// bytesWritten returns how much this process has had written to the disk, as far as the system knows.
func bytesWritten(b *testing.B) (n int64) {
	b.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	_, line, _ := strings.Cut(string(data), "\nwrite_bytes: ")
	if _, err := fmt.Sscan(line, &n); err != nil {
		b.Fatal(err)
	}
	return n
}
