// Package admin is the server's private side: an HTTP API for its operator, and the client of it.
//
// It is served on a unix socket in the data directory, [SocketName], that only the server's user and root may open: they can
// read the store as well, so the API tells them no more than they can find out, and it needs no other authentication. It may be
// served on another unix socket of the same kind, and on a TCP address: there whoever asks has to know the [Token].
//
//	GET    /livez           200 while the process serves anybody; needs no token
//	GET    /readyz          200 if devices should be sent here, else 503; why, check by check; needs no token
//	GET    /metrics         for Prometheus
//	GET    /groups          the device groups: ?idle=SECONDS for those without a connected device for so long, ?ids=true
//	                        with their ids, which are left out otherwise
//	DELETE /groups/{group}  drops all slots of a group and all that is stored for it; by its id or by its pseudonym
//	GET    /privacy         what the server knows at this moment, item by item
//	GET    /backup          a backup of its data: ?without-keys=true or false; the trailer Mediator-Error says why it is not whole
//	GET    /verify          looks through all that is stored
//	POST   /compact         makes the store as small as it can be
//
// Answers are JSON but for the first and the third, errors an object with the sentence in "error". Requests have no body. Everything is
// bounded: the time for a request and for its answer, their sizes, and the connections at once. It has nothing in common
// with the connections of devices but the process.
//
// A further part of the API is a further route of [Handler].
package admin
