//go:build integration

package powercut

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"openmediator/certificates"
	"openmediator/internal/serverprocess"
)

// TestPowerCut_Pin cuts the power at each system call of the command that makes the server's keys: when it has printed their pins,
// which clients are given, both keys are there.
func TestPowerCut_Pin(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, log := folder(t), filepath.Join(t.TempDir(), "trace")
	r := NewRecording(root)
	command := append(Strace(log), binary, "pin", "--json", "--data", filepath.Join(root, DataName), "--listen", "wss://127.0.0.1:8443", "--tls-dev")
	process := exec.Command(command[0], command[1:]...)
	process.Env = append(os.Environ(), "MEDIATOR_CONFIG=")
	output, err := process.Output()
	var printed struct {
		Pin    certificates.Pin `json:"pin"`
		Backup certificates.Pin `json:"backup_pin"`
	}
	if err := errors.Join(err, json.Unmarshal(output, &printed)); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if err := r.AddFile(log, func(o Output) bool { return o.Descriptor == 1 }); err != nil {
		t.Fatal(err)
	}
	told := r.Outputs[len(r.Outputs)-1].Line
	replayWhole(t, r, func(root string, line int) error {
		keys, err := certificates.OpenKeys(filepath.Join(root, DataName, "tls"))
		if err != nil {
			return err
		}
		present, err := keys.Present()
		if err != nil {
			return err
		}
		next, err := keys.Next()
		if err != nil {
			return err
		}
		if line >= told && (certificates.PinOfKey(present) != printed.Pin || certificates.PinOfKey(next) != printed.Backup) {
			return fmt.Errorf("the pins are %v and %v, printed were %v", certificates.PinOfKey(present), certificates.PinOfKey(next), printed)
		}
		return nil
	})
}
