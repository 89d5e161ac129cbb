package admin

import (
	"fmt"
	"os"
)

// shorten returns another path of a directory, valid until release, that is short: the path of a socket has at most 107
// bytes.
func shorten(dir string) (short string, release func(), err error) {
	file, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d", file.Fd()), func() { file.Close() }, nil
}
