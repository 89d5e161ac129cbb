package devicegroup_test

import (
	"fmt"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// owed is what must be there for a connection when it asks.
type owed struct {
	ahead, stream int
	end           bool
}

func (p *playthrough) owed(l *link) owed {
	ahead, stream, end := p.model.Ready(l.model)
	return owed{ahead, stream, end}
}

func (o owed) some() bool { return o.ahead > 0 || o.stream > 0 || o.end }

func (o owed) String() string {
	return fmt.Sprintf("%d answers, %d of the stream, an end: %v", o.ahead, o.stream, o.end)
}

// next lets a connection take what is there for it. It reports whether there was anything.
func (p *playthrough) next(l *link, written bool) (bool, error) {
	owed := p.owed(l)
	l.group.Next(l.core, &p.out)
	if p.out.Empty() {
		l.awake = false
		if owed.some() {
			return false, fmt.Errorf("B38: c%d gets nothing, and is owed %v", l.name, owed)
		}
		return false, nil
	}
	if !l.awake {
		return true, fmt.Errorf("B38: something is there for c%d, and nobody was told", l.name)
	}
	frames, err := p.frames(l)
	if err != nil {
		return true, err
	}
	if err := p.observe(l, frames, owed); err != nil {
		return true, fmt.Errorf("c%d: %w", l.name, err)
	}
	if p.out.Close != nil {
		return true, p.end(l)
	}
	l.unread = true
	if written {
		return true, p.written(l)
	}
	return true, nil
}

// frames cuts up what Next gave, and reads what it wants to be read.
func (p *playthrough) frames(l *link) (frames [][]byte, err error) {
	if len(p.out.Fetch) > 0 {
		err = p.store.Read(playGroup, l.group.Epoch(), p.out.Fetch, p.out.AppendFetched)
		if err != nil {
			return nil, fmt.Errorf("B15: a message for c%d is not stored: %w", l.name, err)
		}
	}
	start := 0
	for _, end := range p.out.Ends {
		frames = append(frames, p.out.Data[start:end:end])
		start = end
	}
	if start > devicegroup.MaxUnsent+3*d2m.MaxMessageSize {
		return nil, fmt.Errorf("B21: %d bytes are handed to c%d at once", start, l.name)
	}
	return frames, nil
}

// observe shows the model what a connection gets, and checks that of everything that is owed there is something.
func (p *playthrough) observe(l *link, frames [][]byte, owed owed) error {
	var code *d2m.CloseCode
	if p.out.Close != nil {
		code = &p.out.Close.Code
	}
	if p.alter != nil {
		frames = p.alter(frames, code)
	}
	for _, frame := range frames {
		if p.trace != nil {
			p.say("     c%d gets %s", l.name, frameWords(frame))
		}
		if err := p.model.Observe(l.model, frame); err != nil {
			return err
		}
		switch p.note(l, frame); d2m.Type(frame[0]) {
		case d2m.TypeReflected, d2m.TypeReflectionQueueDry, d2m.TypeRolePromotedToLeader,
			d2m.TypeBeginTransactionAck, d2m.TypeTransactionEnded:
			owed.stream = 0
		case d2m.TypeCommitTransactionAck: // it may be either
			owed.stream, owed.ahead = 0, 0
		default:
			owed.ahead = 0
		}
	}
	if code != nil {
		p.say("     c%d is closed with %d", l.name, *code)
		if err := p.model.ObserveClose(l.model, *code); err != nil {
			return err
		}
		owed.end = false
	}
	if owed.some() {
		return fmt.Errorf("B38: nothing comes of %v", owed)
	}
	return nil
}

// note remembers the number that a frame has.
func (p *playthrough) note(l *link, frame []byte) {
	parsed, _ := d2m.Parse(frame)
	if message, ok := parsed.(d2m.Reflected); ok {
		l.numbers = append(l.numbers, message.ID)
		if message.ID-p.highest < 1<<31 {
			p.highest = message.ID
		}
	}
}
