package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"openmediator/admin"
)

// fakeData is what an operator can do with a store. Each takes its time.
type fakeData struct {
	failure error
	takes   time.Duration
}

func (f *fakeData) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(f.takes):
		return f.failure
	}
}

func (f *fakeData) Backup(ctx context.Context, to io.Writer, withoutKeys bool) error {
	text := "with keys"
	if withoutKeys {
		text = "without keys"
	}
	if _, err := io.WriteString(to, text); err != nil {
		return err
	}
	return f.wait(ctx)
}

func (f *fakeData) Verify(ctx context.Context) (admin.Verified, error) {
	return admin.Verified{Groups: 7}, f.wait(ctx)
}

func (f *fakeData) Compact(ctx context.Context) (admin.Compacted, error) {
	return admin.Compacted{Before: 9}, f.wait(ctx)
}

// What is done with the data may take longer than other requests, and an error in the middle of a backup is told.
func TestData(t *testing.T) {
	data := new(fakeData)
	dir := t.TempDir()
	socket, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(admin.Handler(admin.Options{Server: newFake(), Data: data}))
	server.ReadTimeout, server.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	ended := make(chan error)
	go func() { ended <- server.Serve(socket) }()
	defer func() { server.Close(); <-ended }()
	c, err := admin.Connect(dir)
	if err != nil {
		t.Fatal(err)
	}
	data.takes = 150 * time.Millisecond
	for _, failure := range []error{nil, errors.New("the disk is full: 100 %\r\nreally")} {
		data.failure = failure
		for _, withoutKeys := range []bool{false, true} {
			var b bytes.Buffer
			err := c.Backup(t.Context(), &b, withoutKeys)
			if strings.HasPrefix(b.String(), "without") != withoutKeys {
				t.Errorf("backup: %q", &b)
			}
			wantFailure(t, "backup", err, failure)
		}
		verified, err := c.Verify(t.Context())
		wantFailure(t, "verify", err, failure)
		compacted, err := c.Compact(t.Context())
		wantFailure(t, "compact", err, failure)
		if failure == nil && (verified.Groups != 7 || compacted.Before != 9) {
			t.Errorf("%+v, %+v", verified, compacted)
		}
	}
}

func wantFailure(t *testing.T, what string, err, failure error) {
	t.Helper()
	refused, _ := errors.AsType[*admin.RefusedError](err)
	if failure == nil && err != nil || failure != nil && (refused == nil || refused.Text != failure.Error()) {
		t.Errorf("%s: %v, want %v", what, err, failure)
	}
}

func TestDataRefused(t *testing.T) {
	for _, test := range []struct {
		data         admin.Data
		method, path string
		want         int
	}{
		{nil, http.MethodGet, "/backup?without-keys=false", http.StatusNotFound},
		{nil, http.MethodPost, "/compact", http.StatusNotFound},
		{new(fakeData), http.MethodGet, "/backup", http.StatusBadRequest},
		{new(fakeData), http.MethodGet, "/backup?without-keys=perhaps", http.StatusBadRequest},
		{new(fakeData), http.MethodGet, "/compact", http.StatusMethodNotAllowed},
		{new(fakeData), http.MethodPost, "/verify", http.StatusMethodNotAllowed},
	} {
		w := httptest.NewRecorder()
		admin.Handler(admin.Options{Server: newFake(), Data: test.data}).ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.want {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, w.Code, test.want)
		}
	}
}
