package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

// inspectFlags is how 'gostore inspect' was called.
type inspectFlags struct {
	address string
	token   string
	open    bool // no token
	writes  bool
}

func (a *app) inspectCommand() *cobra.Command {
	var flags inspectFlags
	command := &cobra.Command{
		Use:   "inspect --db PATH [--addr HOST:PORT] [--write] [--token TOKEN | --no-token]",
		Short: "Look at a database in a browser",
		Long: `Serves a page that shows what a database holds: its groups as a tree, keys with
values, expiries and history, changes as they are committed, namespaces and their
quotas, metrics. Prints the page's address, and ends by Ctrl-C. Everything comes from
this program; the page loads nothing else.

The database is only read, beside the program that has it open; metrics are then those
of this reader. With --write it is opened for writing, so that the page can set,
delete and touch keys, and no other program can have it open. Each change is made on
condition of the revision that was seen.

The address has a token in it, behind the #, without which nothing is answered: other
users of the machine can't look. It is a new one each time, or --token's; but other
users can see the command lines of this machine. With --no-token everybody on the
machine may look, as far as the file's own mode is concerned.

An --addr that other machines reach needs a --token. What is sent is not encrypted:
over a network that is not yours use an SSH tunnel instead, and leave --addr as it is.`,
		Example: `  gostore inspect --db app.db
  gostore inspect --db app.db --addr 127.0.0.1:8080 --write`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.check(command); err != nil {
				return err
			}
			return a.inspect(command.Context(), &flags)
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.StringVar(&flags.address, "addr", "127.0.0.1:0", "serve at this `HOST:PORT`; port 0: one that is free")
	set.BoolVar(&flags.writes, "write", false, "allow changes")
	set.StringVar(&flags.token, "token", "", "what the page has to know, instead of a `TOKEN` of its own")
	set.BoolVar(&flags.open, "no-token", false, "answer everybody on this machine")
	return command
}

// check demands what can be meant, and makes a token where none is given.
func (f *inspectFlags) check(command *cobra.Command) error {
	given := command.Flags().Changed("token")
	switch {
	case given && f.token == "":
		return misuse(`--token "": name one, or use --no-token`)
	case strings.ContainsFunc(f.token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return misuse("--token: use printable ASCII without spaces")
	case given && f.open:
		return misuse("give either --token or --no-token")
	}
	host, _, err := net.SplitHostPort(f.address)
	if err != nil {
		return misuse("--addr %q: that is no HOST:PORT, such as 127.0.0.1:8080", f.address)
	}
	if !isLoopback(host) && !given {
		return misuse("--addr %s can be reached by other machines: name a --token, or use 127.0.0.1", f.address)
	}
	if !given && !f.open {
		f.token = rand.Text()
	}
	return nil
}

// isLoopback reports whether an address to listen at is reached on this machine alone. An
// empty one is every address there is.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

func (a *app) inspect(ctx context.Context, flags *inspectFlags) error {
	access := reading
	if flags.writes {
		access = changing
	}
	return a.withStore(access, []api.Option{api.WithMetrics()}, func(store *api.Store) error {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", flags.address)
		if err != nil {
			return fmt.Errorf("--addr %s: %w", flags.address, err)
		}
		if _, err := fmt.Fprintln(a.stdout, flags.url(listener.Addr().String())); err != nil {
			return errors.Join(err, listener.Close())
		}
		return serve(ctx, listener, inspect.Handler(store, flags.options(a.database)...), log.New(a.stderr, "gostore: ", 0))
	})
}

func (f *inspectFlags) options(database string) []inspect.Option {
	options := []inspect.Option{inspect.WithName(filepath.Base(database))}
	if f.writes {
		options = append(options, inspect.WithWrites())
	}
	if f.token != "" {
		options = append(options, inspect.WithToken(f.token))
	}
	if host, _, _ := net.SplitHostPort(f.address); !isLoopback(host) {
		options = append(options, inspect.WithHosts("*")) // any name may lead here: what guards it is the token
	}
	return options
}

// url is the page's address. A browser keeps what is behind the # to itself.
func (f *inspectFlags) url(address string) string {
	page := url.URL{Scheme: "http", Host: address, Path: "/"}
	if f.token != "" {
		page.Fragment = "token=" + f.token
	}
	return page.String()
}

// serve answers requests until the context ends, and with it every stream of changes.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *log.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err // it could not go on
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer stop()
	if err := server.Shutdown(patience); err != nil {
		_ = server.Close() // a client that takes an answer that slowly is cut off
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
