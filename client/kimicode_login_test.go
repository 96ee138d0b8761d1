//go:build unix

package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// loginHost is a server that refreshes logins, and the model that needs them. It accepts only the newest token.
type loginHost struct {
	*httptest.Server
	mu      sync.Mutex
	renewed int // how often the login was renewed; the names of the tokens end with it
	refused []string
	used    []string // the refresh tokens that were used
}

func newLoginHost(t *testing.T, model *clienttest.Model) *loginHost {
	h := new(loginHost)
	target, err := url.Parse(model.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/coding/v1")
		r.SetURL(target)
	}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if r.URL.Path == "/api/oauth/token" {
			h.used = append(h.used, r.PostFormValue("refresh_token"))
			h.renewed++
			fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","expires_in":3600,"scope":"","token_type":"Bearer"}`, h.renewed, h.renewed)
			h.mu.Unlock()
			return
		}
		ok := r.Header.Get("Authorization") == fmt.Sprint("Bearer access-", h.renewed)
		if !ok && strings.HasSuffix(r.URL.Path, "/chat/completions") {
			h.refused = append(h.refused, r.Header.Get("Authorization"))
		}
		h.mu.Unlock()
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"message":"The API Key appears to be invalid","type":"invalid_authentication_error"}}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// file returns the path, in a home folder, of the file in which Kimi Code keeps the login to this host.
func (h *loginHost) file(home string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"oauthHost":%q,"baseUrl":%q}`, h.URL, h.URL+"/coding/v1"))
	return filepath.Join(home, "credentials", fmt.Sprintf("kimi-code-env-%x.json", sum[:8]))
}

// A login is refreshed only once. A session with a private home and the user's own home share the new login, in both
// directions.
func TestKimiCodeLogin(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, "text: one", "text: two", "text: three", "text: four")
	h := newLoginHost(t, m)
	opts := clienttest.KimiCode(t)
	for key := range m.Env() {
		opts.Env[key] = ""
	}
	opts.Env["KIMI_CODE_OAUTH_HOST"], opts.Env["KIMI_CODE_BASE_URL"] = h.URL, h.URL+"/coding/v1"
	key := "oauth/" + strings.TrimSuffix(filepath.Base(h.file("")), ".json")
	write(t, filepath.Join(opts.ShareDir, "config.toml"), fmt.Sprintf(`default_model = "login"
[models.login]
provider = "managed:kimi-code"
model = "m"
max_context_size = 100000
[providers."managed:kimi-code"]
type = "kimi"
base_url = %q
api_key = ""
oauth = { storage = "file", key = %q, oauth_host = %q }
`, h.URL+"/coding/v1", key, h.URL), 0o600)
	login := func(access, refresh string, expires time.Time) {
		token, _ := json.Marshal(map[string]any{
			"access_token": access, "refresh_token": refresh, "expires_at": expires.Unix(), "expires_in": 3600, "scope": "", "token_type": "Bearer",
		})
		write(t, h.file(opts.ShareDir), string(token), 0o600)
	}
	kept := func() string {
		var token struct {
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(readText(t, h.file(opts.ShareDir))), &token); err != nil {
			t.Fatal(err)
		}
		return token.Access
	}
	own := *opts
	own.Tools = []client.Tool{mustTool(client.NewTool("echo", "", func(context.Context, noInput) (string, error) { return "", nil }))}

	login("expired", "refresh-0", time.Now().Add(-time.Hour))
	overlaid := e2eStart(t, ctx, &own)
	e2eText(t, ctx, overlaid, "in a home of its own", "one")
	e2eSame(t, "the user's login", "access-1", kept())

	login("access-1", "refresh-1", time.Now().Add(-time.Hour)) // the access token has expired
	plain := e2eStart(t, ctx, opts)
	e2eText(t, ctx, plain, "in the user's home", "two")
	e2eSame(t, "the user's login", "access-2", kept())

	e2eText(t, ctx, overlaid, "with what it has kept", "three")
	later := e2eStart(t, ctx, &own)
	e2eText(t, ctx, later, "in a new home of its own", "four")
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Logf("refused %q, used %q", h.refused, h.used)
	for i, used := range h.used {
		if used != fmt.Sprint("refresh-", i) {
			t.Errorf("refresh token %d: %q: one was spent twice", i, used)
		}
	}
}
