//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"openmediator/internal/serverprocess"
)

// A data directory on a disk that is full is found before the server is started.
func TestConfigCheckOfFullDisk(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(disk, 0)
	check := func(data string) string {
		out, _ := exec.Command(binary, "config", "check", "--config=", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
		return string(out)
	}
	if out := check(disk); !strings.Contains(out, "ok    data  ") {
		t.Errorf("while there is room:\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(disk, "full"), make([]byte, 1500<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{disk, filepath.Join(disk, "new")} {
		if out := check(data); !strings.Contains(out, "fail  data         "+data+": no space left on device: ") || !strings.Contains(out, "make room") {
			t.Errorf("%s:\n%s", data, out)
		}
	}
}
