package d2m

import "openmediator/d2m/d2mpb"

// BeginTransaction asks for the group's lock (B24).
type BeginTransaction struct {
	Scope []byte // encrypted, at most 1,024 bytes (B29)
	TTL   uint32 // seconds; 0 asks for the server's maximum (B29)
}

// Type returns [TypeBeginTransaction].
func (BeginTransaction) Type() Type { return TypeBeginTransaction }

// Append implements [Message].
func (m BeginTransaction) Append(dst []byte) []byte {
	return appendProto(dst, TypeBeginTransaction, &d2mpb.BeginTransaction{EncryptedScope: m.Scope, Ttl: m.TTL})
}

// ParseBeginTransaction reads a payload. A scope above 1,024 bytes is an error (B29).
func ParseBeginTransaction(payload []byte) (BeginTransaction, error) {
	var pb d2mpb.BeginTransaction
	if err := parseProto("begin transaction", payload, &pb); err != nil {
		return BeginTransaction{}, err
	}
	if err := checkLimit("begin transaction: scope", pb.EncryptedScope, MaxScopeSize); err != nil {
		return BeginTransaction{}, err
	}
	return BeginTransaction{Scope: pb.EncryptedScope, TTL: pb.Ttl}, nil
}

// BeginTransactionAck tells that the lock is held, and that all Reflected which
// it protects came before (B24).
type BeginTransactionAck struct{}

// Type returns [TypeBeginTransactionAck].
func (BeginTransactionAck) Type() Type { return TypeBeginTransactionAck }

// Append implements [Message].
func (BeginTransactionAck) Append(dst []byte) []byte {
	return appendContainer(dst, TypeBeginTransactionAck)
}

// ParseBeginTransactionAck reads a payload.
func ParseBeginTransactionAck(payload []byte) (BeginTransactionAck, error) {
	return BeginTransactionAck{}, parseEmpty("begin transaction ack", payload)
}

// CommitTransaction ends a transaction and lets out what was reflected in it (B27).
type CommitTransaction struct{}

// Type returns [TypeCommitTransaction].
func (CommitTransaction) Type() Type { return TypeCommitTransaction }

// Append implements [Message].
func (CommitTransaction) Append(dst []byte) []byte {
	return appendContainer(dst, TypeCommitTransaction)
}

// ParseCommitTransaction reads a payload.
func ParseCommitTransaction(payload []byte) (CommitTransaction, error) {
	return CommitTransaction{}, parseEmpty("commit transaction", payload)
}

// CommitTransactionAck tells that the commit is durable (B27).
type CommitTransactionAck struct{}

// Type returns [TypeCommitTransactionAck].
func (CommitTransactionAck) Type() Type { return TypeCommitTransactionAck }

// Append implements [Message].
func (CommitTransactionAck) Append(dst []byte) []byte {
	return appendContainer(dst, TypeCommitTransactionAck)
}

// ParseCommitTransactionAck reads a payload.
func ParseCommitTransactionAck(payload []byte) (CommitTransactionAck, error) {
	return CommitTransactionAck{}, parseEmpty("commit transaction ack", payload)
}

// TransactionRejected answers a BeginTransaction while another device holds the
// lock (B25).
type TransactionRejected struct {
	DeviceID DeviceID // the holder
	Scope    []byte   // the holder's, encrypted
}

// Type returns [TypeTransactionRejected].
func (TransactionRejected) Type() Type { return TypeTransactionRejected }

// Append implements [Message].
func (m TransactionRejected) Append(dst []byte) []byte {
	return appendTransactionInfo(dst, TypeTransactionRejected, m.DeviceID, m.Scope)
}

// ParseTransactionRejected reads a payload.
func ParseTransactionRejected(payload []byte) (TransactionRejected, error) {
	holder, scope, err := parseTransactionInfo("transaction rejected", payload)
	return TransactionRejected{DeviceID: holder, Scope: scope}, err
}

// TransactionEnded tells the other devices that the lock is free (B27, B28).
type TransactionEnded struct {
	DeviceID DeviceID // the former holder
	Scope    []byte   // the former holder's, encrypted
}

// Type returns [TypeTransactionEnded].
func (TransactionEnded) Type() Type { return TypeTransactionEnded }

// Append implements [Message].
func (m TransactionEnded) Append(dst []byte) []byte {
	return appendTransactionInfo(dst, TypeTransactionEnded, m.DeviceID, m.Scope)
}

// ParseTransactionEnded reads a payload.
func ParseTransactionEnded(payload []byte) (TransactionEnded, error) {
	holder, scope, err := parseTransactionInfo("transaction ended", payload)
	return TransactionEnded{DeviceID: holder, Scope: scope}, err
}

func appendTransactionInfo(dst []byte, t Type, holder DeviceID, scope []byte) []byte {
	return appendProto(dst, t, &d2mpb.TransactionInfo{DeviceId: uint64(holder), EncryptedScope: scope})
}

func parseTransactionInfo(what string, payload []byte) (holder DeviceID, scope []byte, err error) {
	var pb d2mpb.TransactionInfo
	if err := parseProto(what, payload, &pb); err != nil {
		return 0, nil, err
	}
	return DeviceID(pb.DeviceId), pb.EncryptedScope, nil
}
