package main

import (
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
)

func TestFileHoldsWhatStaysAndNothingElse(t *testing.T) {
	stayed := d2m.GroupID{1}
	for name, test := range map[string]struct {
		log, state []string
		want       string
	}{
		"as it should be":        {nil, []string{string(stayed[:])}, ""},
		"the group is not there": {nil, nil, "B7"},
		"a group that has left":  {nil, []string{string(stayed[:]), strings.Repeat("x", 32)}, "B34"},
		"a message":              {[]string{"12345678"}, []string{string(stayed[:])}, "B17"},
	} {
		r := &run{world: &world{data: t.TempDir()}, stayed: map[d2m.GroupID]bool{stayed: true}}
		fill(t, filepath.Join(r.world.data, fileName), test.log, test.state)
		err := r.checkFile()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func fill(t *testing.T, path string, log, state []string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for name, keys := range map[string][]string{string(bucketLog): log, string(bucketState): state} {
			bucket, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := bucket.Put([]byte(key), []byte("value")); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
