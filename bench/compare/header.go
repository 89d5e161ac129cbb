package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// header says where and how was measured.
type header struct {
	Command    string            `json:"command"`
	Date       string            `json:"date"`
	Cores      int               `json:"cores"`
	CPU        string            `json:"cpu"`
	Kernel     string            `json:"kernel"`
	FileSystem string            `json:"file_system"`
	Versions   map[string]string `json:"versions"`
	order      []string          // of Versions
}

func newHeader(o options, rows []row) header {
	h := header{
		Command:    "go run . " + strings.Join(os.Args[1:], " "),
		Date:       time.Now().UTC().Format(time.DateOnly),
		Cores:      runtime.NumCPU(),
		CPU:        cpuModel(),
		Kernel:     output("uname", "-sr"),
		FileSystem: fileSystem(o.Dir),
		Versions:   map[string]string{},
	}
	h.add("Go", runtime.Version())
	h.add("this server", output("git", "describe", "--always", "--dirty"))
	for _, r := range rows {
		for _, c := range r.contestants {
			if c.version != nil {
				h.add(c.version())
			}
		}
	}
	return h
}

func (h *header) add(name, version string) {
	if _, known := h.Versions[name]; !known {
		h.order = append(h.order, name)
	}
	h.Versions[name] = version
}

func (h header) write(b *strings.Builder) {
	fmt.Fprintf(b, "Made by `%s` in bench/compare on %s.\n\n", strings.TrimSpace(h.Command), h.Date)
	fmt.Fprintf(b, "Machine: %d cores, %s; %s; files on %s.\n\nVersions:", h.Cores, h.CPU, h.Kernel, h.FileSystem)
	for i, name := range h.order {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, " %s %s", name, h.Versions[name])
	}
	b.WriteString(".\n\nMedians, with the smallest and the largest figure.\n\n")
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// fileSystem returns the type and options of the file system of a directory.
func fileSystem(dir string) string {
	if dir == "" {
		dir = os.TempDir()
	}
	return output("findmnt", "--noheadings", "--output", "FSTYPE,OPTIONS", "--target", filepath.Clean(dir))
}

// output returns what a command says in one line, or "unknown".
func output(command ...string) string {
	text, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// debianVersion returns the version of an installed package.
func debianVersion(name string) string {
	return output("dpkg-query", "--show", "--showformat=${Version}", name)
}
