package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// copyTree copies the files of the repository that git does not ignore into a directory.
func copyTree(ctx context.Context, to string) error {
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("working directory: it is not the root of the repository: %w", err)
	}
	list, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("git: it is not installed, and lists the files of the repository")
	}
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(to, name), name); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file; one that git lists and that has been removed is not missed.
func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// writeFiles writes files of a tree, by name.
func writeFiles(tree string, files map[string]string) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
