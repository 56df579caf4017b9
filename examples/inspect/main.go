// Command inspect counts visits, and shows what it does: open the address that it prints,
// or read its metrics beside it.
// In the end it asks its own inspector, which has to know as many as it has counted.
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

func main() {
	length, address := flag.Duration("for", 15*time.Second, "how long it runs"), flag.String("listen", "localhost:0", "where the inspector is")
	flag.Parse()
	store := must(api.New(":memory:", api.WithMetrics()))
	listener, mux := must(net.Listen("tcp", *address)), http.NewServeMux()
	mux.Handle("/inspect/", http.StripPrefix("/inspect", inspect.Handler(store, inspect.WithWrites())))
	mux.Handle("/metrics", inspect.MetricsHandler(store)) // as Prometheus reads them
	go func() { log.Fatal(http.Serve(listener, mux)) }()
	url := "http://" + listener.Addr().String() + "/inspect/"
	log.Println("look at", url)

	visits := int64(0)
	for end := time.Now().Add(*length); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		visits = must(store.Increment("visits", "today", 1))
	}
	text := must(io.ReadAll(must(http.Get(url + "v1/visits/today")).Body))
	if shown := string(text); shown != strconv.FormatInt(visits, 10) {
		log.Fatalf("inspect: it shows %s visits, and there were %d", shown, visits)
	}
	log.Println("the inspector knows all", visits, "visits:", store.Close() == nil)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatalln("inspect:", err)
	}
	return value
}
