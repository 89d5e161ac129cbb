package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"openmediator/devicekeys"
)

// demoPoll is between two questions with the same answer.
const demoPoll = 20 * time.Millisecond

func (d *demo) startServer(ctx context.Context) (err error) {
	var process int
	if d.url, process, err = d.server.start(ctx); err != nil {
		return err
	}
	return d.say(ctx, "server", "process %d listens on %s, with an empty data directory", process, d.url)
}

// authenticate connects three devices of a new group.
func (d *demo) authenticate(ctx context.Context) (err error) {
	if d.keys, err = newDemoKeys(); err != nil {
		return err
	}
	d.phone, d.laptop, d.tablet = newDemoDevice("phone", d), newDemoDevice("laptop", d), newDemoDevice("tablet", d)
	for _, v := range d.devices() {
		info, err := v.connect(ctx)
		if err != nil {
			return err
		}
		err = d.say(ctx, v.name, "proved that it has the key of group %v, without showing it: slot %v, %d messages wait",
			d.keys.GroupID(), info.SlotState, info.ReflectionQueueLength)
		if err != nil {
			return err
		}
		if _, err := expect[sawDry](ctx, v); err != nil {
			return err
		}
		if v == d.phone {
			if err := d.expectLeader(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) expectLeader(ctx context.Context, v *demoDevice) error {
	if _, err := expect[sawLeader](ctx, v); err != nil {
		return err
	}
	d.leader = v
	return d.say(ctx, v.name, "was promoted to leader")
}

// refuseStranger tries to get in with a wrong key.
func (d *demo) refuseStranger(ctx context.Context) error {
	refusal, err := tryWrongKey(ctx, d.url, d.keys.GroupID())
	if err != nil {
		return err
	}
	return d.say(ctx, "stranger", "knows the group's id but not its key: refused with %d, %q", refusal.Code, refusal.Reason)
}

// reflectToAll sends one message from the phone to the two others.
func (d *demo) reflectToAll(ctx context.Context) error {
	sent, err := d.reflect(ctx, "lunch at noon?")
	if err != nil {
		return err
	}
	for _, v := range []*demoDevice{d.laptop, d.tablet} {
		if err := v.expectText(ctx, sent); err != nil {
			return err
		}
		if err := d.say(ctx, v.name, "got %q from the phone, with the same time", sent.text); err != nil {
			return err
		}
	}
	return nil
}

// reflect sends a text from the phone and waits for the acknowledgement.
func (d *demo) reflect(ctx context.Context, text string) (demoText, error) {
	limit, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	began := time.Now()
	at, err := d.phone.device.Reflect(limit, devicekeys.Envelope{Text: text})
	if err != nil {
		return demoText{}, fmt.Errorf("phone reflects %q: %w", text, err)
	}
	took := time.Since(began).Round(100 * time.Microsecond)
	return demoText{text, at}, d.say(ctx, "phone", "reflected %q: on the server's disk after %v, time %s",
		text, took, at.Format("15:04:05.000"))
}

// goOffline disconnects the tablet and lets another device ask who is there.
func (d *demo) goOffline(ctx context.Context) error {
	d.tablet.disconnect()
	if err := d.say(ctx, "tablet", "went offline"); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for {
		slots, err := d.laptop.device.Devices(limit)
		if err != nil {
			return fmt.Errorf("laptop asks for the devices: %w", err)
		}
		present := make(map[string]bool)
		for _, s := range slots {
			present[s.Info.Label] = s.Connected
		}
		if maps.Equal(present, map[string]bool{"phone": true, "laptop": true, "tablet": false}) {
			return d.say(ctx, "laptop", "asked the server: phone and laptop are connected, the tablet is away and keeps its slot")
		}
		select {
		case <-time.After(demoPoll): // the server may not have noticed yet
		case <-limit.Done():
			return fmt.Errorf("laptop asks for the devices: the last answer after %v is %v", d.patience, present)
		}
	}
}

func (d *demo) letMessagesQueue(ctx context.Context) error {
	for _, text := range []string{"noon is fine", "the usual place?", "no, by the river", "bring the dog", "and an umbrella"} {
		sent, err := d.reflect(ctx, text)
		if err != nil {
			return err
		}
		d.waiting = append(d.waiting, sent)
	}
	for _, sent := range d.waiting {
		if err := d.laptop.expectText(ctx, sent); err != nil {
			return err
		}
	}
	return d.say(ctx, "laptop", "got all %d in this order", len(d.waiting))
}

// searchDisk looks for the texts in what the server has stored.
func (d *demo) searchDisk(ctx context.Context) error {
	size := 0
	for _, sent := range d.waiting {
		read, found, err := searchFiles(d.server.data(), sent.text)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("server has %q on its disk, in clear", sent.text)
		}
		size = read
	}
	return d.say(ctx, "server", "stores %d bytes in all; none of these texts is in them in clear", size)
}

// killServer gives the server no time to do anything.
func (d *demo) killServer(ctx context.Context) error {
	how, err := d.server.kill()
	if err != nil {
		return err
	}
	if err := d.say(ctx, "server", "was killed without warning (%s)", how); err != nil {
		return err
	}
	for _, v := range []*demoDevice{d.phone, d.laptop} {
		if _, err := expect[sawDisconnected](ctx, v); err != nil {
			return err
		}
		if err := d.say(ctx, v.name, "lost its connection"); err != nil {
			return err
		}
	}
	return nil
}

// restartServer waits for the devices to come back by themselves; which of them is first is not known beforehand.
func (d *demo) restartServer(ctx context.Context) error {
	url, process, err := d.server.start(ctx)
	if err != nil {
		return err
	}
	if url != d.url {
		return fmt.Errorf("server listens on %s after the restart, want %s", url, d.url)
	}
	if err := d.say(ctx, "server", "runs again, as process %d, on the same data directory", process); err != nil {
		return err
	}
	for _, v := range []*demoDevice{d.phone, d.laptop} {
		info, err := v.expectReconnected(ctx)
		if err != nil {
			return err
		}
		if _, err := expect[sawDry](ctx, v); err != nil {
			return err
		}
		if err := d.sayBack(ctx, v, info.ReflectionQueueLength); err != nil {
			return err
		}
	}
	if d.leader, err = firstToLead(ctx, d.phone, d.laptop); err != nil {
		return err
	}
	return d.say(ctx, d.leader.name, "was promoted to leader")
}

// sayBack tells of a device that has all messages. The server may not know that any more: acknowledgements are written
// within a second (B17).
func (d *demo) sayBack(ctx context.Context, v *demoDevice, waiting uint32) error {
	if waiting == 0 {
		return d.say(ctx, v.name, "is back by itself; nothing waits for it")
	}
	return d.say(ctx, v.name, "is back by itself; it was given %d messages again, which the server did not know to be "+
		"acknowledged, and discarded them", waiting)
}

// comeBack connects the tablet, for which messages wait.
func (d *demo) comeBack(ctx context.Context) error {
	info, err := d.tablet.connect(ctx)
	if err != nil {
		return err
	}
	if info.ReflectionQueueLength != uint32(len(d.waiting)) {
		return fmt.Errorf("tablet is told that %d messages wait, want %d", info.ReflectionQueueLength, len(d.waiting))
	}
	if err := d.say(ctx, "tablet", "is back: slot %v, %d messages wait", info.SlotState, info.ReflectionQueueLength); err != nil {
		return err
	}
	for _, sent := range d.waiting {
		if err := d.tablet.expectText(ctx, sent); err != nil {
			return err
		}
		if err := d.say(ctx, "tablet", "got %q, time %s", sent.text, sent.at.Format("15:04:05.000")); err != nil {
			return err
		}
	}
	if _, err := expect[sawDry](ctx, d.tablet); err != nil {
		return err
	}
	return d.say(ctx, "tablet", "has its queue dry: the same texts, in the same order, with the times the phone was told")
}

// changeLeader disconnects the leader. The other of phone and laptop has been dry for longer than the tablet.
func (d *demo) changeLeader(ctx context.Context) error {
	leader, next := d.phone, d.laptop
	if d.leader == d.laptop {
		leader, next = d.laptop, d.phone
	}
	leader.disconnect()
	if err := d.say(ctx, leader.name, "led the group and left"); err != nil {
		return err
	}
	return d.expectLeader(ctx, next)
}

// nothingElse makes sure that nobody saw more than was told.
func (d *demo) nothingElse(context.Context) error {
	d.disconnectAll()
	for _, v := range d.devices() {
		select {
		case o := <-v.seen:
			return fmt.Errorf("%s saw %v as well", v.name, o)
		default:
		}
	}
	return nil
}

func (d *demo) devices() []*demoDevice { return []*demoDevice{d.phone, d.laptop, d.tablet} }

// disconnectAll disconnects the leader last, so that nobody is promoted.
func (d *demo) disconnectAll() {
	for _, v := range d.devices() {
		if v != nil && v != d.leader {
			v.disconnect()
		}
	}
	for _, v := range []*demoDevice{d.sender, d.further, d.first} {
		if v != nil {
			v.disconnect()
		}
	}
	if d.leader != nil {
		d.leader.disconnect()
	}
}
