package chatserver

import "openmediator/csp"

const cookieSize = len(csp.Cookie{})

// login carries out what a login means for what is stored of an identity. It returns whether the device cookie has
// changed (until that is cleared), and how many messages wait.
func (t *transaction) login(id csp.Identity, device *csp.DeviceID, sent *csp.Cookie) (changed bool, waiting int) {
	kept := t.get(bucketCookies, id[:])
	changed = len(kept) == cookieSize+1 && kept[cookieSize] != 0
	cookie := csp.Cookie{}
	if sent != nil {
		cookie = *sent
	}
	older := sent == nil && device != nil // sends none, which says nothing
	if !older && (kept == nil || csp.Cookie(kept[:cookieSize]) != cookie) {
		changed = kept != nil
		t.setCookie(id, cookie, changed)
	}
	return changed, t.count(id)
}

// clearCookieChange takes the flag back.
func (t *transaction) clearCookieChange(id csp.Identity) {
	if kept := t.get(bucketCookies, id[:]); kept != nil && kept[cookieSize] != 0 {
		t.setCookie(id, csp.Cookie(kept[:cookieSize]), false)
	}
}

func (t *transaction) setCookie(id csp.Identity, cookie csp.Cookie, changed bool) {
	flag := byte(0)
	if changed {
		flag = 1
	}
	t.set(bucketCookies, id[:], append(cookie[:], flag))
}
