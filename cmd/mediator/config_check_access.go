package main

import (
	"context"

	"github.com/rs/zerolog"

	"openmediator/access"
)

// checkAccess reads the access list.
func checkAccess(_ context.Context, i *inspection) []finding {
	who, err := access.New(access.Options{Mode: i.access, List: i.accessList, Log: zerolog.Nop()})
	if err != nil {
		return found(resultFail, "%v", err)
	}
	allowed, denied := len(who.List().Groups(access.Allowed)), len(who.List().Groups(access.Denied))
	if i.access == access.Known && allowed == 0 {
		return found(resultWarn, "access list %s allows no group, and access is known: nobody is let in; \"mediator group allow\" changes that",
			i.accessList)
	}
	if i.accessList == "" {
		return found(resultOK, "access is %v, without an access list", i.access)
	}
	return found(resultOK, "access is %v; the list allows %s and denies %s", i.access, counted(int64(allowed), "group"), counted(int64(denied), "group"))
}
