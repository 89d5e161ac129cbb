package powercut

import (
	"strings"
	"testing"
)

func TestReadCalls(t *testing.T) {
	log := `7 openat(AT_FDCWD, "\x2f\x61", O_RDWR|O_CREAT, 0600) = 3
7 pwrite64(3, "\x61\x62", 2, 4096 <unfinished ...>
8  fdatasync(4)                    = -1 EIO (Input/output error) (INJECTED)
7 <... pwrite64 resumed>)          = 2
7 --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL, si_pid=7, si_uid=0} ---
8  mmap(NULL, 32768, PROT_READ, MAP_SHARED, 3, 0) = 0xffff7eff65500000
8  fdatasync(3)                    = ?
9  write(1, "\x61", 1 <unfinished ...>
7 +++ killed by SIGKILL +++
`
	calls, next, err := readCalls(strings.NewReader(log), 100)
	if err != nil {
		t.Fatal(err)
	}
	if next != 109 {
		t.Errorf("next line is %d, want 109", next)
	}
	want := []struct {
		name       string
		begin, end int
		failed     bool
	}{
		{"openat", 100, 100, false}, {"pwrite64", 101, 103, false}, {"fdatasync", 102, 102, true},
		{"mmap", 105, 105, false}, {"fdatasync", 106, never, false}, {"write", 107, never, false},
	}
	if len(calls) != len(want) {
		t.Fatalf("%d calls, want %d", len(calls), len(want))
	}
	for i, w := range want {
		if c := calls[i]; c.name != w.name || c.begin != w.begin || c.end != w.end || c.failed != w.failed {
			t.Errorf("call %d is %s from %d to %d, failed %v; want %v", i, c.name, c.begin, c.end, c.failed, w)
		}
	}
	if data, err := calls[1].bytes(1); err != nil || string(data) != "ab" {
		t.Errorf("bytes %q, %v", data, err)
	}
	if offset, err := calls[1].number(3); err != nil || offset != 4096 {
		t.Errorf("offset %d, %v", offset, err)
	}
}

func TestReadCalls_Bad(t *testing.T) {
	for _, log := range []string{
		"7 <... write resumed>) = 1\n",
		"7 write\n",
		"7 write(1, \"\\x61\", 1)\n",
		"7 write(1, \"\\x61\", 1) = many\n",
	} {
		if _, _, err := readCalls(strings.NewReader(log), 0); err == nil {
			t.Errorf("%q: no error", log)
		}
	}
	for _, log := range []string{
		`7 pwrite64(3, "\x61"..., 2, 0) = 2`, // not all of it
		`7 pwrite64(3, 0xc000010000, 2, 0) = 2`,
		`7 pwrite64(3) = 2`,
		`7 pwrite64(3, "\xzz", 1, 0) = 1`,
	} {
		calls, _, err := readCalls(strings.NewReader(log), 0)
		if err != nil {
			t.Fatalf("%q: %v", log, err)
		}
		if _, err := calls[0].bytes(1); err == nil {
			t.Errorf("%q: no error", log)
		}
	}
}
