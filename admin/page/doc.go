// Package page is the admin page: it shows the operator, second by second, how a server is, and lets a device be dropped and
// the server be drained.
//
//	GET  /               the page; with what it is made of below /page/. They hold nothing of the server and are for anybody
//	GET  /page/events    what it shows, as server-sent events: "vitals" each second, "groups" each few seconds
//	POST /page/drop      drops a device: {"group": PSEUDONYM, "device": PSEUDONYM}
//	POST /page/drain     drains the server: {}
//	POST /page/session   makes a session of {"once": CODE} or {"token": TOKEN}; on the guarded side alone
//	POST /page/link      makes a link with such a code; on the trusted side alone
//
// # Who may see it
//
// There are two sides. [Page.Trusted] is for a socket that only the operator may open: it asks for nothing. [Page.Guarded] is
// for an address of the network: a request needs a session, or the token, in its Authorization header. A session is made of
// the token, or of a code that is good once and for [LinkLife]: the code stands in the fragment of the link that
// "mediator admin" prints, which no browser sends to a server or tells another page. A session says itself until when it is
// good and is signed with a key that is made of the token: a server that starts again takes it, one with another token does not.
//
// There is no cookie: a browser would send one to every port of this machine. What a browser does for another page is
// refused: it has no header to send, and the browser says that it is another page. A name that an attacker lets lead here
// (DNS rebinding) is no address and not localhost, and is refused as well. Nothing that the page shows is taken for HTML,
// and its Content-Security-Policy lets no other script run and nothing be fetched from elsewhere.
//
// # What it costs
//
// [MaxStreams] at once, each for [StreamLife] and with a deadline for each event; the [MaxGroups] groups in which most
// waits. While nobody watches a page takes a sample per second, and else a look at all groups, for which it takes a
// twentieth of the time at most.
package page
