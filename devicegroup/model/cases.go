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
	NewAgain:            "B7 NEW for a slot that is not confirmed",
	NoSuchSlot:          "B7 EXISTING without a slot",
	SlotConfirmed:       "B7 NEW for a slot that is confirmed",
	ConfirmedByTime:     "B7 confirmed by a message after 5 s",
	ConfirmedByAck:      "B7 confirmed by a ReflectedAck",
	NothingWritten:      "B7 login that changes nothing",
	NoSlotFree:          "B8 no slot is free",
	LongestAway:         "B8 the longest away is dropped",
	LongestConnected:    "B8 the longest connected is dropped",
	Replaced:            "B9 the same device connects again",
	RanDry:              "B10 queue runs dry",
	InfoReplaced:        "B11 device info or policy replaced",
	Promoted:            "B12 leader is told",
	LeaderFollows:       "B12 another leader follows",
	LeaderContested:     "B13 another device waits to lead",
	ToEveryOther:        "B14 a message for every other slot",
	Delivered:           "B14 a message is delivered",
	DeliveredAfterClaim: "B14 a message from before a claim is delivered",
	NumberWrapped:       "B14 numbers wrap",
	Acked:               "B15 ReflectAck",
	ClockBack:           "B15 the clock has gone back",
	Alone:               "B16 a device is alone",
	AckedByAll:          "B17 the last one acknowledges",
	AcksLost:            "B17 acknowledgements are lost in a crash",
	DeliveredAgain:      "B18 a message is delivered again",
	AckedOutOfOrder:     "B19 acknowledged out of order",
	AckedTwice:          "B19 acknowledged twice",
	AckOfNothing:        "B19 an ephemeral, or a message of before, is acknowledged",
	NotGiven:            "B19 acknowledged before it is given",
	NeverDrawn:          "B19 a number that was never drawn",
	EphemeralDelivered:  "B20 an ephemeral is delivered",
	EphemeralLost:       "B21 ephemerals are lost for a slow device",
	TooManyMessages:     "B22 too many messages for a slot",
	TooManyBytes:        "B22 too many bytes for a slot",
	GroupFull:           "B22 too many bytes for the group",
	StoreFull:           "B22 the store is full",
	HalfFull:            "B22 a queue is half full",
	SameReflectID:       "B23 the same reflect-id twice",
	AllListed:           "B31 DevicesInfo",
	AbsentListed:        "B31 DevicesInfo with an absent device",
	DroppedUnknown:      "B32 an unknown device is dropped",
	DroppedOwn:          "B32 a device drops itself",
	DroppedOther:        "B32 a device drops another",
	SharedReplaced:      "B33 shared device data replaced",
	VolatileExpired:     "B34 a VOLATILE slot goes",
	PersistentExpired:   "B34 a PERSISTENT slot goes after the maximum absence",
	LastSlot:            "B34 the last slot goes",
	Malformed:           "B40 a malformed message",
	OutOfPlace:          "B40 a message that is out of place",
	Crashed:             "B43 crash",
	StoreFailed:         "B43 store fails",
	FailedButStored:     "B43 a commit that failed is stored",
	CloseNotDurable:     "B45 a close is not durable",
	Closed:              "B45 a connection is closed",
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
