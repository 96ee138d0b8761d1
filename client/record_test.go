package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A recording that cannot be written is no silent loss.
func TestRecordError(t *testing.T) {
	s, err := client.NewSession(t.Context(), &client.Options{
		Transport: clienttest.NewAgent(t), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Record: fullDisk{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("close: %v", err)
		}
	}
}
