package main

import (
	"context"
	"fmt"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

const (
	demoScope  = devicekeys.ScopeContact
	rivalScope = devicekeys.ScopeSettings

	// demoQuiet is how long a device has to see nothing.
	demoQuiet = 100 * time.Millisecond
)

// competeForLock has the phone and the tablet want the lock of the group at the same time.
func (d *demo) competeForLock(ctx context.Context) error {
	if err := d.watchTablet(ctx); err != nil {
		return err
	}
	var staged []demoText
	limit, cancel := context.WithTimeout(ctx, 4*d.patience)
	defer cancel()
	err := d.phone.device.Transaction(limit, demoScope, nil, func(ctx context.Context, tx *client.Transaction) (err error) {
		if err := d.say(ctx, "phone", "took the lock of the group, to change a %v", demoScope); err != nil {
			return err
		}
		if staged, err = d.stage(ctx, tx); err != nil {
			return err
		}
		if err := d.rejectTablet(ctx); err != nil {
			return err
		}
		return d.seeNothing(ctx)
	})
	if err != nil {
		return fmt.Errorf("phone's transaction: %w", err)
	}
	if err := d.say(ctx, "phone", "committed: all of it is on disk, and the lock is free"); err != nil {
		return err
	}
	for _, v := range []*demoDevice{d.laptop, d.tablet} {
		for _, sent := range staged {
			if err := v.expectText(ctx, sent); err != nil {
				return err
			}
		}
		if err := d.say(ctx, v.name, "got all %d in this order, and none of them before the commit", len(staged)); err != nil {
			return err
		}
	}
	return d.lockTablet(ctx)
}

// watchTablet connects the tablet in a way that shows each frame it gets.
func (d *demo) watchTablet(ctx context.Context) error {
	d.tablet.disconnect()
	info, err := d.tablet.connectRaw(ctx)
	if err != nil {
		return err
	}
	if info.SlotState != d2m.SlotExisting || info.ReflectionQueueLength != 0 {
		return fmt.Errorf("tablet is told: slot %v, %d messages wait; it has acknowledged all", info.SlotState, info.ReflectionQueueLength)
	}
	if _, err := expect[sawDry](ctx, d.tablet); err != nil {
		return err
	}
	return d.say(ctx, "tablet", "left and is back; nothing waits for it")
}

// stage reflects from the phone, which holds the lock.
func (d *demo) stage(ctx context.Context, tx *client.Transaction) (staged []demoText, err error) {
	limit, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for _, text := range []string{"Ann has a new name", "a new picture", "and a new birthday"} {
		at, err := tx.Reflect(limit, devicekeys.Envelope{Text: text})
		if err != nil {
			return nil, fmt.Errorf("phone reflects %q: %w", text, err)
		}
		staged = append(staged, demoText{text, at})
	}
	return staged, d.say(ctx, "phone", "reflected 3 messages under the lock, which the server has acknowledged")
}

// rejectTablet has the tablet ask for the lock that the phone holds.
func (d *demo) rejectTablet(ctx context.Context) error {
	if err := d.tablet.wire.begin(ctx, rivalScope); err != nil {
		return fmt.Errorf("tablet asks for the lock: %w", err)
	}
	rejected, err := expect[sawRejected](ctx, d.tablet)
	if err != nil {
		return err
	}
	if rejected.holder != d.phone.id || rejected.scope != demoScope {
		return fmt.Errorf("tablet was told that device %s holds the lock, scope %v; it is the phone, scope %v",
			formatDeviceID(rejected.holder), rejected.scope, demoScope)
	}
	return d.say(ctx, "tablet", "asked for the lock as well and was rejected: the phone has it, to change a %v", rejected.scope)
}

// seeNothing makes sure that nothing of the transaction comes before the commit: what the server had sent before its
// answer is seen a moment after that.
func (d *demo) seeNothing(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	if _, err := d.laptop.device.Devices(limit); err != nil {
		return fmt.Errorf("laptop asks for the devices: %w", err)
	}
	for _, v := range []*demoDevice{d.laptop, d.tablet} {
		select {
		case o := <-v.seen:
			return fmt.Errorf("%s saw %v before the commit", v.name, o)
		case <-time.After(demoQuiet):
		}
	}
	return d.say(ctx, "laptop", "asked the server who is there and got the answer, but none of the phone's messages yet")
}

// lockTablet has the tablet hear of the end, and take the lock itself.
func (d *demo) lockTablet(ctx context.Context) error {
	ended, err := expect[sawEnded](ctx, d.tablet)
	if err != nil {
		return err
	}
	if ended.holder != d.phone.id {
		return fmt.Errorf("tablet was told that a transaction of device %s has ended; it was the phone's", formatDeviceID(ended.holder))
	}
	if err := d.say(ctx, "tablet", "was told after them that the phone's transaction has ended"); err != nil {
		return err
	}
	if err := d.tablet.wire.begin(ctx, rivalScope); err != nil {
		return fmt.Errorf("tablet asks for the lock: %w", err)
	}
	if _, err := expect[sawLock](ctx, d.tablet); err != nil {
		return err
	}
	if err := d.say(ctx, "tablet", "asked again and has the lock"); err != nil {
		return err
	}
	if err := d.tablet.wire.wire.Send(ctx, d2m.CommitTransaction{}); err != nil {
		return fmt.Errorf("tablet commits: %w", err)
	}
	if _, err := expect[sawCommitted](ctx, d.tablet); err != nil {
		return err
	}
	return d.say(ctx, "tablet", "gave it back")
}
