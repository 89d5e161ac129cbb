package main

import (
	"slices"
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
	names := scopeNames()
	if i := slices.Index(names, text); i >= 0 {
		return devicekeys.Scope(i), nil
	}
	return 0, usage("scope: %q is not one of %s%s", text, strings.Join(names, ", "), isMeant(nearest(text, names)))
}
