package csp

import "openmediator/kdf"

const personal = "3ma-csp"

// vouchOf is how a client proves that it holds its identity's key: BLAKE2b of
// SCK · TCK.public. The key is made of what the client's permanent key (CK) shares
// with the server's permanent one (SK) and with its temporary one (TSK), in this
// order. The server computes the same from the other halves.
func vouchOf(withServerKey, withTemporary [32]byte, serverCookie Cookie, temporaryClient []byte) ([32]byte, error) {
	key, err := vouchKey(withServerKey, withTemporary)
	if err != nil {
		return [32]byte{}, err
	}
	return kdf.Sum256(key[:], "", "", serverCookie[:], temporaryClient)
}

func vouchKey(withServerKey, withTemporary [32]byte) ([32]byte, error) {
	var both [64]byte
	copy(both[:32], withServerKey[:])
	copy(both[32:], withTemporary[:])
	return kdf.Sum256(both[:], "v2", personal)
}
