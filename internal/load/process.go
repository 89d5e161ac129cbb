package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ticks is how many of them the times in /proc have per second, on every Linux that Go runs on.
const ticks = 100

// cpuOf returns the user and system time in seconds that a process has used.
func cpuOf(process string) (float64, error) {
	data, err := os.ReadFile("/proc/" + process + "/stat")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:]) // the first one is the third of proc(5)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%s/stat: has %d fields", process, len(fields))
	}
	user, err := strconv.ParseUint(string(fields[11]), 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseUint(string(fields[12]), 10, 64)
	return float64(user+system) / ticks, err
}

// rssOf returns the bytes of memory that a process has in RAM.
func rssOf(process string) (int64, error) {
	data, err := os.ReadFile("/proc/" + process + "/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%s/statm: has %d fields", process, len(fields))
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// usage is processor time in seconds; nil: not known.
type usage struct{ load, server *float64 }

// usage returns what has been used so far.
func (s *Server) usage() usage {
	used := usage{load: known(cpuOf("self"))}
	if s.Own != nil {
		used.server = known(cpuOf(strconv.Itoa(s.Own.PID)))
	}
	return used
}

// rss returns the server's memory, or nil.
func (s *Server) rss() *int64 {
	if s.Own == nil {
		return nil
	}
	return known(rssOf(strconv.Itoa(s.Own.PID)))
}

func known[T any](value T, err error) *T {
	if err != nil {
		return nil
	}
	return &value
}

// since returns what was used since an earlier usage.
func (u usage) since(before usage) usage {
	return usage{difference(u.load, before.load), difference(u.server, before.server)}
}

func difference(after, before *float64) *float64 {
	if after == nil || before == nil {
		return nil
	}
	d := *after - *before
	return &d
}

// per returns a share of a time, or nil if that is not known or there is nothing to share it among.
func per(seconds *float64, share float64) *float64 {
	if seconds == nil || share == 0 {
		return nil
	}
	d := *seconds / share
	return &d
}
