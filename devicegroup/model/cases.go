package model

// Case is something that the rules speak of and a history came to.
type Case int

// The cases, each with its rule.
const (
	NewAgain Case = iota
	NoSuchSlot
	SlotConfirmed
	ConfirmedByTime
	ConfirmedByAck
	NothingWritten
	NoSlotFree
	LongestAway
	LongestConnected
	Replaced
	RanDry
	InfoReplaced
	Promoted
	LeaderFollows
	LeaderContested
	ToEveryOther
	Delivered
	DeliveredAfterClaim
	NumberWrapped
	Acked
	ClockBack
	Alone
	AckedByAll
	AcksLost
	DeliveredAgain
	AckedOutOfOrder
	AckedTwice
	AckOfNothing
	NotGiven
	NeverDrawn
	EphemeralDelivered
	EphemeralLost
	TooManyMessages
	TooManyBytes
	GroupFull
	StoreFull
	HalfFull
	SameReflectID
	LockTaken
	LockBehindReflected
	RejectedLock
	RejectedDuringCommit
	BeganWhileAckWaits
	BeganTwice
	StagedMessage
	StagedEphemeral
	StagedTooMuch
	StagedCrowded
	DeferredMessage
	DeferredEphemeral
	DeferredEphemeralLost
	DeferredOut
	DeferredEphemeralOut
	DeferredAfterClaim
	LinkedDuring
	Committed
	CommittedNothing
	CommitWithoutRoom
	CommitAckBehindBeginAck
	BehindCommit
	CommitOutlivesHolder
	EndsDuringCommit
	ReplacedDuringCommit
	DroppedDuringCommit
	TTLDuringCommit
	FailedDuringCommit
	CrashedDuringCommit
	EndedTold
	EndedTwiceWaiting
	EndedLeftOut
	StagedGone
	HolderEnds
	TTLRanOut
	HolderReplaced
	ReplacedAndOverLimit
	HolderNewAgain
	HolderDropped
	HolderDropsItself
	HolderEvicted
	HolderOverLimit
	HolderClosed
	HolderMisbehaves
	FailedWithLock
	CrashedWithLock
	TTLZero
	TTLTooLong
	TTLTaken
	CommitWithoutLock
	JoinedDuring
	AllListed
	AbsentListed
	DroppedUnknown
	DroppedOwn
	DroppedOther
	SharedReplaced
	VolatileExpired
	PersistentExpired
	LastSlot
	Malformed
	OutOfPlace
	Crashed
	StoreFailed
	FailedButStored
	CloseNotDurable
	Closed

	caseCount
)

var caseNames = [caseCount]string{
	NewAgain:                "B7 NEW for a slot that is not confirmed",
	NoSuchSlot:              "B7 EXISTING without a slot",
	SlotConfirmed:           "B7 NEW for a slot that is confirmed",
	ConfirmedByTime:         "B7 confirmed by a message after 5 s",
	ConfirmedByAck:          "B7 confirmed by a ReflectedAck",
	NothingWritten:          "B7 login that changes nothing",
	NoSlotFree:              "B8 no slot is free",
	LongestAway:             "B8 the longest away is dropped",
	LongestConnected:        "B8 the longest connected is dropped",
	Replaced:                "B9 the same device connects again",
	RanDry:                  "B10 queue runs dry",
	InfoReplaced:            "B11 device info or policy replaced",
	Promoted:                "B12 leader is told",
	LeaderFollows:           "B12 another leader follows",
	LeaderContested:         "B13 another device waits to lead",
	ToEveryOther:            "B14 a message for every other slot",
	Delivered:               "B14 a message is delivered",
	DeliveredAfterClaim:     "B14 a message from before a claim is delivered",
	NumberWrapped:           "B14 numbers wrap",
	Acked:                   "B15 ReflectAck",
	ClockBack:               "B15 the clock has gone back",
	Alone:                   "B16 a device is alone",
	AckedByAll:              "B17 the last one acknowledges",
	AcksLost:                "B17 acknowledgements are lost in a crash",
	DeliveredAgain:          "B18 a message is delivered again",
	AckedOutOfOrder:         "B19 acknowledged out of order",
	AckedTwice:              "B19 acknowledged twice",
	AckOfNothing:            "B19 an ephemeral, or a message of before, is acknowledged",
	NotGiven:                "B19 acknowledged before it is given",
	NeverDrawn:              "B19 a number that was never drawn",
	EphemeralDelivered:      "B20 an ephemeral is delivered",
	EphemeralLost:           "B21 ephemerals are lost for a slow device",
	TooManyMessages:         "B22 too many messages for a slot",
	TooManyBytes:            "B22 too many bytes for a slot",
	GroupFull:               "B22 too many bytes for the group",
	StoreFull:               "B22 the store is full",
	HalfFull:                "B22 a queue is half full",
	SameReflectID:           "B23 the same reflect-id twice",
	LockTaken:               "B24 the lock is taken",
	LockBehindReflected:     "B24 BeginTransactionAck waits behind Reflected",
	RejectedLock:            "B25 the lock is held by another device",
	RejectedDuringCommit:    "B25 rejected while a commit is stored",
	BeganWhileAckWaits:      "B25 the holder begins again while its ack waits",
	BeganTwice:              "B25 the holder begins again",
	StagedMessage:           "B26 a message is staged",
	StagedEphemeral:         "B26 an ephemeral is staged",
	StagedTooMuch:           "B26 a transaction has staged too much",
	StagedCrowded:           "B26 all groups together have staged too much",
	DeferredMessage:         "B26 a message is deferred",
	DeferredEphemeral:       "B26 an ephemeral is deferred",
	DeferredEphemeralLost:   "B26 a deferred ephemeral is lost",
	DeferredOut:             "B26 a deferred message goes out",
	DeferredEphemeralOut:    "B26 a deferred ephemeral goes out",
	DeferredAfterClaim:      "B26 a deferred message goes out after a claim",
	LinkedDuring:            "B26 a device is linked under the lock",
	Committed:               "B27 a commit",
	CommittedNothing:        "B27 a commit of nothing that is stored",
	CommitWithoutRoom:       "B27 a commit for which there is no room",
	CommitAckBehindBeginAck: "B27 CommitTransactionAck waits behind BeginTransactionAck",
	BehindCommit:            "B27 something is sent behind a commit that is not stored",
	CommitOutlivesHolder:    "B27 a commit is stored when its device has gone",
	EndsDuringCommit:        "B27 the holder goes while its commit is stored",
	ReplacedDuringCommit:    "B27 the holder connects again while its commit is stored",
	DroppedDuringCommit:     "B27 the holder is dropped while its commit is stored",
	TTLDuringCommit:         "B27 the ttl runs out while the commit is stored",
	FailedDuringCommit:      "B27 a commit is not stored",
	CrashedDuringCommit:     "B27 crash during a commit",
	EndedTold:               "B27 TransactionEnded",
	EndedTwiceWaiting:       "B21 two TransactionEnded wait",
	EndedLeftOut:            "B21 of TransactionEnded only the last is kept",
	StagedGone:              "B28 what was staged is gone",
	HolderEnds:              "B28 the holder's connection ends",
	TTLRanOut:               "B28 the ttl runs out",
	HolderReplaced:          "B28 the holder connects again",
	ReplacedAndOverLimit:    "B28 the holder connects again, and too much waits for it",
	HolderNewAgain:          "B28 the holder registers anew",
	HolderDropped:           "B28 the holder is dropped",
	HolderDropsItself:       "B32 the holder drops itself",
	HolderEvicted:           "B28 the holder is dropped for another device",
	HolderOverLimit:         "B28 too much waits for the holder",
	HolderClosed:            "B28 the holder's connection is closed",
	HolderMisbehaves:        "B28 the holder sends something malformed",
	FailedWithLock:          "B28 store fails while the lock is held",
	CrashedWithLock:         "B28 crash while the lock is held",
	TTLZero:                 "B29 ttl 0",
	TTLTooLong:              "B29 ttl above the maximum",
	TTLTaken:                "B29 ttl below the maximum",
	CommitWithoutLock:       "B30 CommitTransaction without the lock",
	JoinedDuring:            "B30 a device connects while the lock is held",
	AllListed:               "B31 DevicesInfo",
	AbsentListed:            "B31 DevicesInfo with an absent device",
	DroppedUnknown:          "B32 an unknown device is dropped",
	DroppedOwn:              "B32 a device drops itself",
	DroppedOther:            "B32 a device drops another",
	SharedReplaced:          "B33 shared device data replaced",
	VolatileExpired:         "B34 a VOLATILE slot goes",
	PersistentExpired:       "B34 a PERSISTENT slot goes after the maximum absence",
	LastSlot:                "B34 the last slot goes",
	Malformed:               "B40 a malformed message",
	OutOfPlace:              "B40 a message that is out of place",
	Crashed:                 "B43 crash",
	StoreFailed:             "B43 store fails",
	FailedButStored:         "B43 a commit that failed is stored",
	CloseNotDurable:         "B45 a close is not durable",
	Closed:                  "B45 a connection is closed",
}

// String returns the rule and what it is about.
func (c Case) String() string { return caseNames[c] }

// Cases returns all cases.
func Cases() []Case {
	all := make([]Case, caseCount)
	for i := range all {
		all[i] = Case(i)
	}
	return all
}

// Reached returns how often a history came to a case.
func (m *Model) Reached(c Case) int { return m.reached[c] }

func (m *Model) reach(c Case) { m.reached[c]++ }
