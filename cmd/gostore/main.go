// Command gostore fills, reads and shows off go-store databases.
//
// It exits with 0 when all went well, 1 when the work failed, 2 when it was called
// wrongly and 3 when a key was not as 'gostore cas' compared it with.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end. From then on the system's own
	// handling is back: a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	// The reader of the output may have seen enough: the write says so then, and
	// the database is closed in order, where the signal would end the process.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
