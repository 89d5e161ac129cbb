package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"openmediator/bench/compare/load"
)

// Sizes of frames in bytes.
const (
	roundTripSize  = 200
	throughputSize = 8 << 10
)

// patience is how long anything may take.
const patience = 20 * time.Second

// Result is what a proxy has shown.
type Result struct {
	RoundTrip load.Histogram
	Up, Down  float64 // bytes per second
}

// Measure measures each of the three for a while, on a connection of its own that dial makes, through the proxy to the
// address of chat.
func Measure(ctx context.Context, dial func() (net.Conn, error), chat *Chat, warmUp, duration time.Duration) (r Result, err error) {
	for _, part := range []struct {
		what byte
		play func(net.Conn) error
	}{
		{echo, func(c net.Conn) error { return r.roundTrips(c, warmUp, duration) }},
		{sink, func(c net.Conn) (err error) { r.Up, err = up(c, chat, warmUp, duration); return err }},
		{source, func(c net.Conn) (err error) { r.Down, err = down(c, warmUp, duration); return err }},
	} {
		c, err := dial()
		if err != nil {
			return r, err
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		c.SetDeadline(time.Now().Add(warmUp + duration + patience))
		if _, err = c.Write([]byte{part.what}); err == nil {
			err = part.play(c)
		}
		stop()
		c.Close()
		if err != nil {
			return r, fmt.Errorf("%s: %w", names[part.what], err)
		}
	}
	return r, nil
}

// roundTrips sends a frame and waits until it comes back, again and again.
func (r *Result) roundTrips(c net.Conn, warmUp, duration time.Duration) error {
	frame := bytes.Repeat([]byte{0xa5}, roundTripSize)
	back := make([]byte, roundTripSize)
	start := time.Now()
	for began := start; began.Sub(start) < warmUp+duration; {
		if _, err := c.Write(frame); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, back); err != nil {
			return err
		}
		now := time.Now()
		if began.Sub(start) >= warmUp {
			r.RoundTrip.Record(now.Sub(began), 1)
		}
		began = now
	}
	if !bytes.Equal(back, frame) {
		return errors.New("frame: has come back with another content")
	}
	return nil
}

// up sends frames, and counts where they arrive.
func up(c net.Conn, chat *Chat, warmUp, duration time.Duration) (perSecond float64, err error) {
	frame := make([]byte, throughputSize)
	start := time.Now()
	from, warm, before := start, false, chat.Sunk()
	for now := start; now.Sub(start) < warmUp+duration; now = time.Now() {
		if !warm && now.Sub(start) >= warmUp {
			from, warm, before = now, true, chat.Sunk()
		}
		if _, err := c.Write(frame); err != nil {
			return 0, err
		}
	}
	return float64(chat.Sunk()-before) / time.Since(from).Seconds(), nil
}

// down takes what comes.
func down(c net.Conn, warmUp, duration time.Duration) (perSecond float64, err error) {
	buffer := make([]byte, 32<<10)
	start := time.Now()
	from, warm, count := start, false, 0
	for now := start; now.Sub(start) < warmUp+duration; now = time.Now() {
		if !warm && now.Sub(start) >= warmUp {
			from, warm, count = now, true, 0
		}
		n, err := c.Read(buffer)
		if err != nil {
			return 0, err
		}
		count += n
	}
	return float64(count) / time.Since(from).Seconds(), nil
}
