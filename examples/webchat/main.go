// Command webchat shows a conversation with kimi in a browser. Text appears while the model writes it. A request for
// approval shows the whole call. Several tabs show the same conversation, and a tab that is loaded again shows all of it.
//
//	go run ./webchat -dir PROJECT
//
// It listens only on the loopback interface. Everyone who has the URL that it prints can make kimi act in the
// folder PROJECT.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/relay"
)

//go:embed page.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen, an address of this machine's own")
	dir := flag.String("dir", ".", "kimi's work dir")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	opts := &client.Options{WorkDir: *dir}
	if err := run(ctx, *addr, opts, func(url string) { fmt.Println("Open", url) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves one session until ctx ends. It calls ready with the URL of the page.
func run(ctx context.Context, addr string, opts *client.Options, ready func(url string)) (err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		return fmt.Errorf("webchat: %v is not loopback; use an address such as 127.0.0.1:8080", ip)
	}
	outside := new(relay.Outside)
	opts.OnMessage, opts.SupportsQuestion, opts.SupportsPlanMode = outside.OnMessage, true, true
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c := &chat{host: listener.Addr().String(), token: rand.Text()}
	c.relay = relay.New(s, &relay.Options{Authorize: c.authorize, Outside: outside, SpillDir: os.TempDir()})
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	ready("http://" + c.host + "/#" + c.token)
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	err = errors.Join(err, c.relay.Close()) // first, because it ends the streams of events, for which Shutdown would wait
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(ctx))
}

type chat struct {
	host  string // the host of the URL; another host means that a foreign site uses its own name for this address
	token string // the fragment of the URL, which browsers do not send; the page sends it with each request
	relay *relay.Relay
}

func (c *chat) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.servePage)
	mux.Handle("/agent/", http.StripPrefix("/agent", c.relay))
	return mux
}

// servePage serves the page. Only its own script may run, and the script may talk only to this server.
func (c *chat) servePage(w http.ResponseWriter, _ *http.Request) {
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src 'nonce-%[1]s'; style-src 'nonce-%[1]s'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'", nonce))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(bytes.ReplaceAll(page, []byte("NONCE"), []byte(nonce)))
}

// authorize checks the token that the page sends. A cookie would also go to the servers on all other ports of this
// machine.
func (c *chat) authorize(req *http.Request) error {
	token, found := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !found { // an EventSource cannot set a header, so it sends the token in the URL
		token = req.URL.Query().Get("token")
	}
	if req.Host != c.host || subtle.ConstantTimeCompare([]byte(token), []byte(c.token)) != 1 {
		return errors.New("not logged in: open the URL that webchat printed")
	}
	return nil
}
