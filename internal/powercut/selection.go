package powercut

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// selections returns how many selections of n changes are tried where so many are wanted, and whether these are all that
// there are.
func selections(n, wanted int) (count int, all bool) {
	if n < bits.Len(uint(wanted)) { // 1<<n <= wanted
		return 1 << n, true
	}
	return wanted, false
}

// selectAll returns the selection of a number out of all.
func selectAll(n, number int) []bool {
	kept := make([]bool, n)
	for i := range kept {
		kept[i] = number>>i&1 != 0
	}
	return kept
}

// selectSome draws a selection. The ways differ in what they are likely to find: a page torn in the middle, one write that
// came too early, one that came too late.
func selectSome(random *rand.Rand, pending []change) []bool {
	kept := make([]bool, len(pending))
	if len(pending) == 0 {
		return kept
	}
	one := pending[random.IntN(len(pending))].index
	likely := random.Float64()
	whole := make(map[int]bool) // operation → there
	way := random.IntN(7)
	for i := range pending {
		index := pending[i].index
		if _, drawn := whole[index]; !drawn {
			whole[index] = random.Float64() < likely
		}
		torn := random.IntN(2) == 0
		switch way {
		case 0: // each by itself
			kept[i] = torn
		case 1:
			kept[i] = random.Float64() < likely
		case 2: // operations by themselves
			kept[i] = whole[index]
		case 3: // and one of them torn
			kept[i] = index == one && torn || index != one && whole[index]
		case 4: // all but one
			kept[i] = index != one || torn
		case 5: // one alone
			kept[i] = index == one
		case 6: // in order, up to one that is torn
			kept[i] = index < one || index == one && torn
		}
	}
	return kept
}

// closed takes out of a selection what cannot be there without something else.
func closed(pending []change, kept []bool) []bool {
	type sector struct {
		file   int
		number int64
	}
	missing := make(map[sector]bool)
	var names []int // indexes of the few changes of names
	for i := range pending {
		c := &pending[i]
		switch {
		case c.kind == write:
			// What is written to a sector has all in it that was written there before.
			at := sector{c.file, c.offset / sectorSize}
			kept[i] = kept[i] && !missing[at]
			missing[at] = !kept[i]
		case c.changesNames():
			kept[i] = kept[i] && !slices.ContainsFunc(names, func(j int) bool { return !kept[j] && c.follows(&pending[j]) })
			names = append(names, i)
		}
	}
	return kept
}
