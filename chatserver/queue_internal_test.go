package chatserver

import (
	"testing"
	"testing/synctest"
	"time"

	"openmediator/csp"
)

// A message whose time is over is not read, even if the committer has had no occasion to delete it.
func TestExpiredMessageIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := openStore(t.TempDir(), 10)
		if err != nil {
			t.Fatal(err)
		}
		go s.run()
		defer s.close()
		time.Sleep(time.Second) // so that the sweep does not come at the moment of the end
		receiver := csp.Identity([]byte("RECEIVER"))
		m := csp.Message{Receiver: receiver, Flags: csp.FlagShortLived}
		if err := s.do(func(t *transaction) error { return t.put(m) }); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			after time.Duration
			want  int
		}{{shortLife - time.Millisecond, 1}, {time.Millisecond, 0}} {
			time.Sleep(test.after)
			if p, err := s.read(receiver, 0, pageSize); err != nil || len(p.messages) != test.want || p.last != 1 {
				t.Errorf("got %+v, %v, want %d messages", p, err, test.want)
			}
		}
	})
}
