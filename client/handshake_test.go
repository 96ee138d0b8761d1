package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// If a bridge refuses an option, no session starts. The refusal is not mistaken for an agent without initialize.
func TestHandshakeUnsupported(t *testing.T) {
	t.Parallel()
	refuses := memory(func(a *agent) {
		f := a.call(wireproto.MethodInitialize)
		a.raw(`{"jsonrpc":"2.0","id":"` + f.ID + `","error":{"code":-32601,"message":"Kimi Code has no place for hooks","data":{"option":"hooks"}}}` + "\n")
		a.serve()
	})
	s, err := client.NewSession(t.Context(), &client.Options{Transport: refuses, WorkDir: t.TempDir(), ShareDir: t.TempDir()})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, client.ErrUnsupported) || !strings.Contains(err.Error(), "no place for hooks") {
		t.Errorf("NewSession: %v", err)
	}
}
