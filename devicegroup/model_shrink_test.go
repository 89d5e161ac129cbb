package devicegroup_test

// shrink returns a part of the history, as short and simple as it gets, that fails too.
func (h *history) shrink() []op {
	runs := 0
	fails := func(ops []op) bool {
		runs++
		return runs < 5000 && h.again(ops, nil) != nil
	}
	ops := h.ops
	for before := len(ops) + 1; len(ops) < before; {
		before = len(ops)
		ops = without(ops, fails)
		ops = simpler(ops, fails)
	}
	return ops
}

// without leaves out what is not needed, large pieces first.
func without(ops []op, fails func([]op) bool) []op {
	for size := max(len(ops)/2, 1); size >= 1; size /= 2 {
		for start := len(ops) - size; start > -size; start -= size {
			from := max(start, 0)
			rest := append(append([]op{}, ops[:from]...), ops[min(start+size, len(ops)):]...)
			if fails(rest) {
				ops = rest
			}
			start = min(start, len(ops))
		}
	}
	return ops
}

// simpler makes numbers of ops smaller.
func simpler(ops []op, fails func([]op) bool) []op {
	ops = append([]op{}, ops...)
	for i := range ops {
		for _, simplify := range []func(*op){
			func(o *op) { o.size = 8 },
			func(o *op) { o.n = 1 },
			func(o *op) { o.n = min(o.n, 3) },
			func(o *op) { o.n /= 2 },
			func(o *op) { o.mode = 0 },
			func(o *op) { o.id = 0 },
		} {
			old := ops[i]
			simplify(&ops[i])
			if ops[i] != old && !fails(ops) {
				ops[i] = old
			}
		}
	}
	return ops
}
