package powercut

import (
	"bytes"
	"maps"
	"path"
	"slices"
)

// sectorSize is what a disk writes wholly or not at all, bytes.
const sectorSize = 512

// disk is what is durable at some moment, and what may be besides.
type disk struct {
	names       map[place]int // file or directory of each name
	directories map[int]bool  // all there ever were
	files       map[int][]byte
	pending     []change // in the order in which they were made
}

// place is a name in a directory.
type place struct {
	directory int
	name      string
}

// change is a part of an operation that gets to the disk by itself.
type change struct {
	operation
	index      int  // of the operation
	lost       bool // no sync makes it durable any more
	left, came bool // of a rename: the directory was synced that it leads from, and that it leads to
}

// from and toPlace return the places of a change of names.
func (c *change) from() place    { return place{c.in, path.Base(c.name)} }
func (c *change) toPlace() place { return place{c.into, path.Base(c.to)} }

func newDisk() *disk {
	return &disk{names: make(map[place]int), directories: map[int]bool{rootDirectory: true}, files: make(map[int][]byte)}
}

// begin adds what an operation changes, if it is no sync.
func (d *disk) begin(index int, o *operation) {
	c := change{operation: *o, index: index, lost: o.end == never && o.kind == write}
	if o.kind == makeDirectory {
		d.directories[o.file] = true
	}
	if o.kind != write {
		if o.kind != syncFile && o.kind != syncDirectory {
			d.pending = append(d.pending, c)
		}
		return
	}
	if end := o.offset + int64(len(o.data)); end > int64(len(d.files[o.file])) {
		longer := c
		longer.kind, longer.size, longer.data = extend, end, nil
		d.pending = append(d.pending, longer)
	}
	for at := 0; at < len(o.data); {
		size := min(sectorSize-int(o.offset+int64(at))%sectorSize, len(o.data)-at)
		c.offset, c.data = o.offset+int64(at), o.data[at:at+size]
		at += size
		if d.matters(&c) {
			d.pending = append(d.pending, c)
		}
	}
}

// matters says whether something is different with the change.
func (d *disk) matters(c *change) bool {
	file, end := d.files[c.file], c.offset+int64(len(c.data))
	return end > int64(len(file)) || !bytes.Equal(file[c.offset:end], c.data) ||
		slices.ContainsFunc(d.pending, func(p change) bool { return p.kind == resize && p.file == c.file || p.overlaps(c) })
}

// overlaps says whether two changes are of the same sector.
func (c *change) overlaps(other *change) bool {
	return c.kind == write && other.kind == write && c.file == other.file &&
		c.offset/sectorSize == other.offset/sectorSize
}

// synced makes durable what a sync covers that is over, or, if it has failed, takes from it every prospect of that.
func (d *disk) synced(o *operation) {
	var left []change
	for _, c := range d.pending {
		covered := c.coveredBy(o)
		switch {
		case !covered || c.lost || o.failed && c.kind != write:
			left = append(left, c)
		case o.failed:
			c.lost = true
			left = append(left, c)
		default:
			left = slices.DeleteFunc(left, func(older change) bool { // the sector, or the name, has this in it
				if !older.overlaps(&c) && !c.isOn(&older) {
					return false
				}
				d.apply(&older)
				return true
			})
			d.apply(&c)
		}
	}
	d.pending = left
}

// isOn says whether a change of names is made on top of an earlier one.
func (c *change) isOn(earlier *change) bool {
	return c.changesNames() && earlier.changesNames() && (c.file == earlier.file || slices.ContainsFunc(c.places(), func(p place) bool {
		return slices.Contains(earlier.places(), p)
	}))
}

// coveredBy says whether the change had been made when the sync began that is to make it durable.
func (c *change) coveredBy(sync *operation) bool {
	switch {
	case c.end >= sync.begin && !c.lost:
		return false
	case c.changesNames() && sync.kind != syncDirectory || sync.failed && c.kind == rename:
		return false
	case c.kind == rename:
		c.left = c.left || sync.file == c.in
		c.came = c.came || sync.file == c.into
		return c.left && c.came
	case c.changesNames():
		return sync.file == c.in
	}
	return sync.kind == syncFile && c.file == sync.file
}

func (c *change) changesNames() bool {
	switch c.kind {
	case create, makeDirectory, unlink, rename:
		return true
	}
	return false
}

// follows says whether the change cannot be there without an earlier one: one that it is made on, that makes a directory it
// needs, or that empties one it removes.
func (c *change) follows(earlier *change) bool {
	if !c.changesNames() || !earlier.changesNames() {
		return false
	}
	isIn := func(p place) bool { return p.directory == earlier.file }
	isBelow := func(p place) bool { return p.directory == c.file }
	return c.isOn(earlier) || earlier.kind == makeDirectory && slices.ContainsFunc(c.places(), isIn) ||
		c.kind == unlink && slices.ContainsFunc(earlier.places(), isBelow)
}

// places are the names that a change is about.
func (c *change) places() []place {
	if c.kind == rename {
		return []place{c.from(), c.toPlace()}
	}
	return []place{c.from()}
}

// apply makes a change durable.
func (d *disk) apply(c *change) {
	switch c.kind {
	case create, makeDirectory:
		d.names[c.from()] = c.file
	case unlink:
		delete(d.names, c.from())
	case rename:
		delete(d.names, c.from())
		d.names[c.toPlace()] = c.file
	default:
		d.files[c.file] = c.change(d.files[c.file])
	}
}

// change returns the content of a file with a change of size or bytes. The content that is given is not used any more.
func (c *change) change(content []byte) []byte {
	size := len(content)
	switch c.kind {
	case resize:
		size = int(c.size)
	case extend:
		size = max(size, int(c.size))
	case write:
		size = max(size, int(c.offset)+len(c.data))
	}
	if size > len(content) {
		content = append(content, make([]byte, size-len(content))...)
	}
	content = content[:size]
	if c.kind == write {
		copy(content[c.offset:], c.data)
	}
	return content
}

// image is what a power cut has left.
type image struct {
	directories []string          // without the root, each behind the one above
	files       map[string][]byte // by path
}

// image returns what is there if of what may be, exactly that is which kept says.
func (d *disk) image(kept []bool) image {
	left := &disk{names: maps.Clone(d.names), directories: d.directories, files: make(map[int][]byte)}
	for i := range d.pending {
		if c := &d.pending[i]; kept[i] && c.changesNames() {
			left.apply(c)
		}
	}
	paths := left.paths()
	for _, number := range paths {
		left.files[number] = slices.Clone(d.files[number])
	}
	for i := range d.pending {
		if c := &d.pending[i]; kept[i] && !c.changesNames() {
			if _, named := left.files[c.file]; named {
				left.apply(c)
			}
		}
	}
	i := image{files: make(map[string][]byte)}
	for name, number := range paths {
		if !d.directories[number] {
			i.files[name] = left.files[number]
		} else if number != rootDirectory {
			i.directories = append(i.directories, name)
		}
	}
	slices.Sort(i.directories)
	return i
}

// paths returns the file or directory of each path. A file that was linked has several.
func (d *disk) paths() map[string]int {
	in := make(map[int][]place)
	for at := range d.names {
		in[at.directory] = append(in[at.directory], at)
	}
	paths := map[string]int{".": rootDirectory}
	for open := []string{"."}; len(open) > 0; open = open[1:] {
		for _, at := range in[paths[open[0]]] {
			name := path.Join(open[0], at.name)
			paths[name] = d.names[at]
			open = append(open, name)
		}
	}
	return paths
}
