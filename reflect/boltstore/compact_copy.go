package boltstore

import "go.etcd.io/bbolt"

// put puts entries into the copy. They are not synced.
func (c *compaction) put(piece []entry) error {
	if len(piece) == 0 {
		return nil
	}
	if err := c.store.faults.at(stepPut); err != nil {
		return err
	}
	c.result.Entries += len(piece)
	return c.to.write(func(tx *bbolt.Tx) error {
		for _, e := range piece {
			bucket := tx.Bucket(e.part.bucket())
			bucket.FillPercent = logFill
			if err := putEntry(bucket, e); err != nil {
				return err
			}
			c.unwritten += len(e.key) + len(e.value)
		}
		return nil
	})
}

func putEntry(bucket *bbolt.Bucket, e entry) error {
	if e.value == nil {
		return bucket.Delete([]byte(e.key))
	}
	return bucket.Put([]byte(e.key), e.value)
}
