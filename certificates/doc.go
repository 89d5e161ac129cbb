// Package certificates has what a server shows of itself in a TLS handshake, and keeps it fresh while it runs.
//
// A certificate comes from one of three sources:
//
//   - [Files] are the operator's: a chain and a key in PEM form, looked at every few seconds. New ones are taken up if they
//     fit each other and the time; otherwise the old ones stay, and the log says why. They are read whole and compared by
//     content, so it does not matter whether they are written in place, renamed or swapped by a symbolic link.
//   - [NewACME] has certificates made by a certificate authority on the internet, proving by TLS-ALPN-01 (RFC 8737) on the
//     server's own port that a name is its own.
//   - [NewDevelopment] makes a certificate authority on the spot, for trying things out.
//
// # Keys
//
// Clients pin the public key of the leaf. So a key is not replaced when its certificate is: [Keys] holds the present one and
// the next one, whose pin can be given to clients long before it is used. Only [Keys.Rotate] replaces a key.
//
// A [Pin] is the SHA-256 of the public key (SubjectPublicKeyInfo) in base64, as in RFC 7469.
//
// # What it never does
//
// It never falls back on a certificate that was not asked for, never ends a connection, and never logs a client's address.
package certificates
