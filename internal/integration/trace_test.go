//go:build integration

package integration

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// storeFile is what the store's file is called.
const storeFile = "/mediator.db"

// call is a system call on the store's file.
type call struct {
	name  string // pwrite64, fdatasync or fsync
	began time.Time
	text  string // with its arguments
}

// tracer is a command that runs another one, writes its system calls down and makes each sync take longer by a delay,
// which begins when the sync is done. The command that is run has the process id that the tracer was started with (-D).
func tracer(log string, delay time.Duration) []string {
	return []string{
		"strace", "-D", "-f", "-qq", "-ttt", "-y", "-s", "65536", "-o", log,
		"-e", "trace=pwrite64,fdatasync,fsync", "-e", "signal=none",
		"-e", fmt.Sprintf("inject=fdatasync,fsync:delay_exit=%d", delay.Microseconds()),
	}
}

// tracedCall is the line of a call that begins: process, time, name, descriptor with its file, arguments.
var tracedCall = regexp.MustCompile(`^\d+ +(\d+)\.(\d{6}) (pwrite64|fdatasync|fsync)\(\d+<([^>]*)>(.*)`)

// readTrace returns the calls on the store's file in the order in which they began.
func readTrace(log string) ([]call, error) {
	file, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var calls []call
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return calls, nil
		}
		fields := tracedCall.FindStringSubmatch(line)
		if fields == nil || !strings.HasSuffix(fields[4], storeFile) {
			continue
		}
		seconds, _ := strconv.ParseInt(fields[1], 10, 64)
		micros, _ := strconv.ParseInt(fields[2], 10, 64)
		calls = append(calls, call{
			name: fields[3], began: time.UnixMicro(seconds*1_000_000 + micros), text: fields[5],
		})
	}
}
