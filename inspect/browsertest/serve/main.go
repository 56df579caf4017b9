// Command serve shows a store that it fills itself, for the browser's tests and for the
// pictures in the documentation. It prints the page's address and serves until it is
// interrupted, or its standard input ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the process that started this has ended
		cancel()
	}()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) (err error) {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	kind := flags.String("fill", "shop", "what the store holds: empty, shop, million or hostile")
	address := flags.String("addr", "127.0.0.1:0", "where to serve")
	writes := flags.Bool("write", false, "allow changes")
	traffic := flags.Bool("traffic", false, "read and write all the time")
	namespace := flags.String("namespace", "", "show this one alone")
	measured := flags.Bool("metrics", true, "collect metrics")
	token := flags.String("token", "", "what callers have to know")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "inspect-serve-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	opening := []api.Option{api.WithDurability(api.DurabilityBuffered)}
	if *measured {
		opening = append(opening, api.WithMetrics())
	}
	store, err := api.New(filepath.Join(folder, "shop.db"), opening...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	fill, found := fills[*kind]
	if !found {
		return fmt.Errorf("-fill %s: there is no such thing", *kind)
	}
	if err := fill(store); err != nil {
		return err
	}
	if *traffic {
		end := trade(ctx, store)
		defer end()
	}
	var options []inspect.Option
	options = append(options, inspect.WithName("shop.db"))
	if *writes {
		options = append(options, inspect.WithWrites())
	}
	if *token != "" {
		options = append(options, inspect.WithToken(*token))
	}
	var shown api.Storer = store
	if *namespace != "" {
		if shown, err = api.NewScoped(store, *namespace); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/inspect/", http.StripPrefix("/inspect", inspect.Handler(shown, options...)))
	mux.HandleFunc("PUT /batch/{keys}", func(w http.ResponseWriter, r *http.Request) { putBatch(w, r, store) })
	return serve(ctx, *address, mux)
}

// putBatch sets keys of the group "batch" at once, which the inspector's own routes can't.
func putBatch(w http.ResponseWriter, r *http.Request, store *api.Store) {
	batch := new(api.Batch)
	for key := range strings.SplitSeq(r.PathValue("keys"), ",") {
		batch.Set("batch", key, "v")
	}
	revision, err := store.Batch(batch)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Go-Store-Revision", strconv.FormatUint(revision, 10))
}

func serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/inspect/\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
