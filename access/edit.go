package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"openmediator/d2m"
	"openmediator/internal/durable"
	"openmediator/internal/textfile"
)

// listHeader begins a list that Edit makes.
const listHeader = `# Who may use this server: one group id per line, 64 hexadecimal digits, or "deny" and a group id.
# The server reads this file again when it changes.
`

// Edit allows or denies a group in the list at a path, which is made with mode 0600 if it is not there. The list is
// replaced as a whole, durably; comments, mode and owner stay. It reports whether anything was changed. A list in which
// a line is wrong is left alone. The error is one sentence for the operator.
func Edit(path string, group d2m.GroupID, verdict Verdict) (changed bool, err error) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	unlock, err := lockBeside(path)
	if err == nil {
		defer unlock()
		changed, err = edit(path, group, verdict)
	}
	if errors.Is(err, fs.ErrNotExist) { // for a list that is not there is made
		return false, fmt.Errorf("access list %s: its directory is not there; make it, or name another file with --access-list", path)
	}
	if err != nil {
		return false, wrongList(path, err)
	}
	return changed, nil
}

func edit(path string, group d2m.GroupID, verdict Verdict) (bool, error) {
	data, info, err := textfile.Read(path, MaxListFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte(listHeader)
	case err != nil:
		return false, err
	}
	if _, err := ParseList(data); err != nil {
		return false, err
	}
	changed, different := change(data, group, verdict)
	if !different {
		return false, nil
	}
	return true, replaceFile(path, changed, info)
}

// replaceFile puts a file in the place of an old one, of which info tells mode and owner, or which was not there.
func replaceFile(path string, data []byte, info os.FileInfo) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	if info != nil {
		giveLike(file.Name(), info)
		err = file.Chmod(info.Mode().Perm())
	}
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return durable.SyncDirectory(dir)
}
