//go:build integration

package integration

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"openmediator/internal/serverprocess"
	"openmediator/reflect/boltstore"
)

// TestRootTakesNothing: what root makes in a data directory belongs to the owner of that, who runs the server.
func TestRootTakesNothing(t *testing.T) {
	const owner = 65534 // any user but root
	data := t.TempDir()
	if err := os.Chown(data, owner, owner); err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(data, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const tls = " --listen wss://127.0.0.1:1 --tls-dev"
	for _, line := range []string{"compact", "invite", "pin" + tls, "pin --rotate" + tls} {
		args := append(strings.Fields(line), "--config=", "--data", data)
		if out, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err == nil && info.Sys().(*syscall.Stat_t).Uid != owner {
				t.Errorf("%s: %s belongs to another user", line, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
