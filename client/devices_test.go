package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// goDo calls a function in a goroutine of its own.
func goDo(do func() error) chan error {
	result := make(chan error, 1)
	go func() { result <- do() }()
	return result
}

func TestB31_Devices(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.Info = devicekeys.DeviceInfo{Platform: devicekeys.PlatformDesktop, Label: "desk"}
		d := start(t, config)
		p := f.register()
		var slots []client.Slot
		result := goDo(func() (err error) { slots, err = d.Devices(t.Context()); return err })
		receive[d2m.GetDevicesInfo](p)
		p.send(d2m.DevicesInfo{Devices: []d2m.DeviceInfo{
			{ID: 0, Since: 1000, Info: []byte("not a box")},
			{ID: 1, Since: 2000, Expiration: d2m.Persistent},
			{ID: 7, Connected: true, Since: 3000, Info: p.hello.DeviceInfo},
		}})
		if err := <-result; err != nil || len(slots) != 3 {
			t.Fatalf("got %+v, %v", slots, err)
		}
		if s := slots[0]; s.InfoErr == nil || s.Connected || s.Since.UnixMilli() != 1000 || s.Expiration != d2m.Volatile {
			t.Errorf("slot with unreadable info: %+v", s)
		}
		if s := slots[1]; s.InfoErr != nil || s.Expiration != d2m.Persistent {
			t.Errorf("slot with empty info: %+v", s)
		}
		if s := slots[2]; s.InfoErr != nil || s.Info != config.Info || s.ID != 7 || !s.Connected {
			t.Errorf("own slot: %+v", s)
		}
	})
}

// An answer that nobody waits for any more must not be taken for the next one.
func TestDevicesAnswersInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		ctx, cancel := context.WithCancel(t.Context())
		first := goDo(func() error { _, err := d.Devices(ctx); return err })
		receive[d2m.GetDevicesInfo](p)
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("first: %v", err)
		}
		var slots []client.Slot
		second := goDo(func() (err error) { slots, err = d.Devices(t.Context()); return err })
		receive[d2m.GetDevicesInfo](p)
		p.send(d2m.DevicesInfo{Devices: make([]d2m.DeviceInfo, 1)}, d2m.DevicesInfo{Devices: []d2m.DeviceInfo{{ID: 1}, {ID: 2}}})
		if err := <-second; err != nil || len(slots) != 2 {
			t.Errorf("second: %+v, %v", slots, err)
		}
	})
}

func TestB32_Drop(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		one := goDo(func() error { return d.Drop(t.Context(), 1) })
		if m := receive[d2m.DropDevice](p); m.DeviceID != 1 {
			t.Errorf("drops %d", m.DeviceID)
		}
		two := goDo(func() error { return d.Drop(t.Context(), 2) })
		receive[d2m.DropDevice](p)
		p.send(d2m.DropDeviceAck{DeviceID: 2})
		if err := <-two; err != nil || len(one) > 0 {
			t.Errorf("second drop: %v; the first has returned: %v", err, len(one) > 0)
		}
		p.socket.CloseNow()
		var unknown *client.UnknownError
		if err := <-one; !errors.As(err, &unknown) {
			t.Errorf("first drop: %v", err)
		}
	})
}

func TestB32_DropOfOwnDevice(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		dropped := goDo(func() error { return d.Drop(t.Context(), 7) })
		p.send(d2m.DropDeviceAck(receive[d2m.DropDevice](p)))
		p.close(d2m.CloseDropped)
		if err := <-dropped; err != nil {
			t.Errorf("Drop: %v", err)
		}
		<-d.Done()
		var closed *client.CloseError
		if !errors.As(d.Err(), &closed) || closed.Code != d2m.CloseDropped {
			t.Errorf("ended with %v", d.Err())
		}
	})
}

func TestB33_SharedData(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		sealed, err := testKeys.SealSharedData(zeroes{}, []byte("old"))
		if err != nil {
			t.Fatal(err)
		}
		result := goConnect(t.Context(), f.config())
		p := f.accept()
		p.challenge()
		p.send(d2m.ServerInfo{SharedDeviceData: sealed})
		d := (<-result).device
		t.Cleanup(d.Close)
		if got, err := d.SharedData(); string(got) != "old" || err != nil {
			t.Errorf("SharedData: %q, %v", got, err)
		}

		set := goDo(func() error { return d.SetSharedData(t.Context(), []byte("new")) })
		plain, _, err := testKeys.OpenSharedData(receive[d2m.SetSharedDeviceData](p).Data)
		if string(plain) != "new" || err != nil {
			t.Errorf("set %q, %v", plain, err)
		}
		receive[d2m.GetDevicesInfo](p)
		if got, _ := d.SharedData(); string(got) != "old" {
			t.Errorf("SharedData before the server has taken it: %q", got)
		}
		p.send(d2m.DevicesInfo{})
		if err := <-set; err != nil {
			t.Error(err)
		}
		if got, err := d.SharedData(); string(got) != "new" || err != nil {
			t.Errorf("SharedData: %q, %v", got, err)
		}
		if err := d.SetSharedData(t.Context(), make([]byte, d2m.MaxSharedDataSize)); err == nil {
			t.Error("too much shared data was taken")
		}
		dropped := goDo(func() error { return d.Drop(t.Context(), 1) })
		p.send(d2m.DropDeviceAck(receive[d2m.DropDevice](p))) // and no further question before it
		if err := <-dropped; err != nil {
			t.Error(err)
		}
		p.close(d2m.CloseGoingAway)

		// Another device has set something that this one cannot read; then nothing.
		p = f.accept()
		p.challenge()
		p.send(d2m.ServerInfo{SlotState: d2m.SlotExisting, SharedDeviceData: []byte("not a box")}, d2m.ReflectionQueueDry{})
		awaitConnected(t, d, p)
		if got, err := d.SharedData(); err == nil {
			t.Errorf("SharedData: %q", got)
		}
		p.close(d2m.CloseGoingAway)
		p = f.register()
		awaitConnected(t, d, p)
		if got, err := d.SharedData(); got != nil || err != nil {
			t.Errorf("SharedData: %q, %v", got, err)
		}
	})
}

// What the server has taken counts, whether it was waited for or not.
func TestSharedDataThatNobodyWaitsFor(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		ctx, cancel := context.WithCancelCause(t.Context())
		set := goDo(func() error { return d.SetSharedData(ctx, []byte("new")) })
		receive[d2m.SetSharedDeviceData](p)
		receive[d2m.GetDevicesInfo](p)
		cancel(errTest)
		var unknown *client.UnknownError
		if err := <-set; !errors.As(err, &unknown) {
			t.Errorf("SetSharedData: %v", err)
		}
		p.send(d2m.DevicesInfo{})
		synctest.Wait()
		if got, err := d.SharedData(); string(got) != "new" || err != nil {
			t.Errorf("SharedData: %q, %v", got, err)
		}
	})
}

// awaitConnected returns when the device has taken ServerInfo: it answers then.
func awaitConnected(t *testing.T, d *client.Device, p *peer) {
	t.Helper()
	asked := goDo(func() error { _, err := d.Devices(t.Context()); return err })
	receive[d2m.GetDevicesInfo](p)
	p.send(d2m.DevicesInfo{})
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
}
