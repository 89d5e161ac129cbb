package devicegroup_test

import (
	"fmt"
	"time"
)

// String says in words what an op does.
func (o op) String() string {
	switch o.kind {
	case opConnect:
		return o.connectWords()
	case opReflect:
		what := []string{"", " an ephemeral", " with other flags", " with a longer header"}[o.mode]
		return fmt.Sprintf("c%d reflects%s %d × %d bytes, id %d", o.conn, what, o.n, o.size, o.id)
	case opAck:
		return o.ackWords()
	case opDevices:
		return fmt.Sprintf("c%d asks for devices × %d", o.conn, o.n)
	case opDrop:
		return fmt.Sprintf("c%d drops device %d", o.conn, playDevices[o.device])
	case opShared:
		return fmt.Sprintf("c%d sets the shared data to %d bytes", o.conn, o.size)
	case opGarbage:
		return fmt.Sprintf("c%d sends garbage %d", o.conn, o.n)
	case opBegin:
		return fmt.Sprintf("c%d begins a transaction, ttl %d s, scope of %d bytes", o.conn, o.n, o.size)
	case opCommit:
		return fmt.Sprintf("c%d commits", o.conn)
	case opPipeline:
		return o.pipelineWords()
	case opClose:
		return fmt.Sprintf("c%d is closed with 1001", o.conn)
	case opEnd:
		return fmt.Sprintf("c%d ends", o.conn)
	case opNext:
		return fmt.Sprintf("c%d takes what is there%s", o.conn, []string{"", ", not written yet"}[o.mode])
	case opDrained:
		return fmt.Sprintf("c%d has nothing more to take, as it thinks", o.conn)
	case opWritten:
		return fmt.Sprintf("c%d has written what it took", o.conn)
	}
	return o.groupWords()
}

// groupWords is String of what is no connection's.
func (o op) groupWords() string {
	switch o.kind {
	case opSeal:
		return "seal" + []string{"", " all"}[o.mode]
	case opAnswer:
		return "commit: " + []string{"done", "unavailable", "unavailable, and stored all the same", "fenced"}[o.mode]
	case opTrim:
		return fmt.Sprintf("keep at most %d bytes in memory", o.n)
	case opClock:
		return fmt.Sprintf("clock: %+v", time.Duration(o.n)*time.Millisecond)
	case opTick:
		return "tick"
	case opCrash:
		what := []string{"lost", "stored"}[o.mode]
		return fmt.Sprintf("crash: what was sealed is %s; back after %v", what, time.Duration(o.n)*time.Millisecond)
	case opFail:
		return "store fails: what was sealed is " + []string{"lost", "stored"}[o.mode]
	case opClaim:
		return "claim, if the store has failed"
	case opCrowded:
		return fmt.Sprintf("all groups have staged what they may: %v", o.mode == 1)
	case opFull:
		return fmt.Sprintf("store is full: %v", o.mode == 1)
	}
	return "settle: everything is stored and taken"
}

func (o op) pipelineWords() string {
	words := fmt.Sprintf("c%d sends without waiting:", o.conn)
	for i, word := range []string{"begin", "begin", "reflect", "ephemeral", "reflect", "commit", "reflect", "begin", "commit", "— and all once more"} {
		if o.mode&(1<<i) != 0 {
			words += " " + word
		}
	}
	return words + fmt.Sprintf(" (%d bytes, ttl %d s)", o.size, o.n)
}

func (o op) connectWords() string {
	either := func(bit int, without, with string) string {
		if o.mode&bit != 0 {
			return with
		}
		return without
	}
	return fmt.Sprintf("c%d connects: device %d, %s, %s, %s, info of %d bytes%s", o.conn, playDevices[o.device],
		either(connectExisting, "NEW", "EXISTING"),
		either(connectDropLeastRecent, "REJECT", "DROP_LEAST_RECENT"),
		either(connectPersistent, "VOLATILE", "PERSISTENT"),
		infoSizes[o.n], either(connectSlow, "", ", slow"))
}

func (o op) ackWords() string {
	who := fmt.Sprintf("c%d acknowledges ", o.conn)
	switch o.mode {
	case ackNext:
		return who + fmt.Sprintf("the next %d", o.n)
	case ackGiven:
		return who + fmt.Sprintf("the last but %d that it got", o.n)
	case ackFormer:
		return who + fmt.Sprintf("the last but %d that its device got before", o.n)
	case ackElsewhere:
		return who + "the last that anybody got"
	case ackAhead:
		return who + fmt.Sprintf("%d above the last that anybody got", o.n)
	}
	return who + fmt.Sprintf("#%d", uint32(o.n))
}
