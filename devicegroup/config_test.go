package devicegroup_test

import (
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*devicegroup.Config)
		want string // how the error begins; empty: none
	}{
		{"defaults", func(c *devicegroup.Config) {}, ""},
		{"no slots", slots(0), "device slots per group: 0"},
		{"one slot", slots(1), ""},
		{"negative slots", slots(-1), "device slots per group: -1"},
		{"as many slots as can be", slots(devicegroup.MaxSlotsLimit), ""},
		{"one slot more", slots(devicegroup.MaxSlotsLimit + 1), "device slots per group: "},
		{"expiry of a second", func(c *devicegroup.Config) { c.VolatileExpiry = time.Second }, ""},
		{"shorter expiry", func(c *devicegroup.Config) { c.VolatileExpiry = time.Second - 1 }, "expiry of volatile slots: "},
		{"no expiry", func(c *devicegroup.Config) { c.VolatileExpiry = 0 }, "expiry of volatile slots: 0s"},
		{"absence of a minute", func(c *devicegroup.Config) { c.MaxAbsence = time.Minute }, ""},
		{"shorter absence", func(c *devicegroup.Config) { c.MaxAbsence = time.Minute - 1 }, "maximum absence: "},
		{"negative absence", func(c *devicegroup.Config) { c.MaxAbsence = -time.Hour }, "maximum absence: "},
		{"one message", queueOf(1), ""},
		{"no message", queueOf(0), "messages per reflection queue: 0"},
		{"bytes of one envelope", func(c *devicegroup.Config) { c.QueueBytes = d2m.MaxEnvelopeSize }, ""},
		{"fewer bytes", func(c *devicegroup.Config) { c.QueueBytes = d2m.MaxEnvelopeSize - 1 }, "bytes per reflection queue: "},
		{"group like a queue", func(c *devicegroup.Config) { c.GroupBytes = c.QueueBytes }, ""},
		{"group below a queue", func(c *devicegroup.Config) { c.GroupBytes = c.QueueBytes - 1 }, "bytes per group: "},
		{"nothing in memory", tail(0), ""},
		{"less than nothing", tail(-1), "bytes kept in memory per group: -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := devicegroup.DefaultConfig()
			test.edit(&c)
			err := c.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
