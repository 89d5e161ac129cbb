package main

import (
	"strings"

	"openmediator/devicekeys"
)

// scopeName writes a scope as the command line does: user-profile.
func scopeName(s devicekeys.Scope) string {
	return strings.ReplaceAll(strings.ToLower(s.String()), " ", "-")
}

// scopeNames are those of all scopes that a transaction may have.
func scopeNames() (names []string) {
	for s := devicekeys.ScopeUserProfile; s <= devicekeys.ScopeWorkSyncDelta; s++ {
		names = append(names, scopeName(s))
	}
	return names
}

// parseScope reads the name of a scope. The error, a usageError, names what is meant, or all there are.
func parseScope(text string) (devicekeys.Scope, error) {
	var meant []string
	for i, name := range scopeNames() {
		switch {
		case name == text:
			return devicekeys.Scope(i), nil
		case text != "" && strings.HasPrefix(name, strings.ToLower(text)), editDistance(name, strings.ToLower(text)) <= 2:
			meant = append(meant, name)
		}
	}
	all := strings.Join(scopeNames(), ", ")
	if len(meant) > 0 {
		return 0, usage("scope: %q is not one of %s; is %s meant?", text, all, strings.Join(meant, " or "))
	}
	return 0, usage("scope: %q is not one of %s", text, all)
}

// editDistance is how many bytes have to be put in, taken out or replaced to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // of the distances from what is read of a to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
