package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/actor"
)

// Commands that are started at the same time take turns instead of failing.
func ExampleWithLockTimeout() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")
	first, err := api.New(path)
	if err != nil {
		log.Fatal(err)
	}
	_, err = api.New(path)
	var locked *api.LockedError
	fmt.Println(errors.As(err, &locked), locked.PID == os.Getpid())

	closed := make(chan error, 1)
	go func() { closed <- first.Close() }()
	second, err := api.New(path, api.WithLockTimeout(time.Minute))
	fmt.Println(err, <-closed)
	fmt.Println(second.Close())
	// Output:
	// true true
	// <nil> <nil>
	// <nil>
}

// A store notices when its file is taken away, and says so instead of writing
// to a file that is gone.
func ExampleStore_Health() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")
	store, err := api.New(path)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Health().Err)

	// Windows keeps a file that is in use from being moved.
	if err := os.Rename(path, path+".moved"); err == nil {
		fmt.Println(errors.Is(store.Health().Err, api.FileLostError), errors.Is(store.Set("g", "k", "v"), api.FileLostError))
		if err := os.Rename(path+".moved", path); err != nil {
			log.Fatal(err)
		}
	} else {
		fmt.Println(true, true)
	}
	fmt.Println(store.Health().Err, store.Set("g", "k", "v"))
	// Output:
	// <nil>
	// true true
	// <nil> <nil>
}

// A loop that hears of every change: of the disk that is full, of the file that was
// taken away, and of the store that writes again.
func ExampleStore_WatchHealth() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for health := range store.WithContext(ctx).WatchHealth() {
		fmt.Println("degraded:", errors.Is(health.Err, api.DegradedError))
		stop() // or go on: the next turn waits for a change
	}
	// Output: degraded: false
}

// A read-only store beside the owner, in this process or another.
func ExampleWithReadOnly() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")
	owner, err := api.New(path)
	if err != nil {
		log.Fatal(err)
	}
	defer owner.Close()
	reader, err := api.New(path, api.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()

	fmt.Println(owner.Set("config", "theme", "dark"))
	fmt.Println(reader.Get("config", "theme"))
	fmt.Println(errors.Is(reader.Set("config", "theme", "light"), api.ReadOnlyError))
	// Output:
	// <nil>
	// dark <nil>
	// true
}

// Where the last moments before a power cut matter less than speed.
func ExampleWithDurability() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := api.New(filepath.Join(folder, "cache.db"), api.WithDurability(api.DurabilityBuffered))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Set("cache", "page", "…"))
	// Output: <nil>
}

// The store's actors in a system of the caller's, which goes on without them.
func ExampleWithActorSystem() {
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	defer system.Shutdown()

	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Set("g", "k", "v"))
	fmt.Println(store.Close())
	fmt.Println("stopped:", system.IsStopped())
	// Output:
	// <nil>
	// <nil>
	// stopped: false
}

// silent keeps Proto.Actor from writing to standard error.
func silent(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }

func ExampleWithSizeLimits() {
	store, err := api.New(":memory:", api.WithSizeLimits(api.SizeLimits{Value: 1 << 10}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	err = store.Set("notes", "long", strings.Repeat("x", 2000))
	fmt.Println(errors.Is(err, api.TooLargeError), err)
	// Output: true store.Set: value of 2000 bytes, limit 1024: too large
}

func ExampleWithWatchBuffer() {
	store, err := api.New(":memory:", api.WithWatchBuffer(1000))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(cap(store.Watch("*", "*").Events))
	// Output: 1000
}

// At most so many mutations are under way; more callers wait.
func ExampleWithMaxInFlight() {
	store, err := api.New(":memory:", api.WithMaxInFlight(64))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Set("g", "k", "v"), "in flight:", store.InFlight())
	// Output: <nil> in flight: 0
}

func ExampleWithReaders() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := api.New(filepath.Join(folder, "app.db"), api.WithReaders(8))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Count("g"))
	// Output: 0 <nil>
}

// The log gets what no call can return, here that a tenant is about to meet its
// quota. It never gets values.
func ExampleWithLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // so that the output is always the same
			}
			return a
		}}))
	store, err := api.New(":memory:", api.WithLogger(logger))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 5})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 4 {
		if err := tenant.Set("g", fmt.Sprint(i), "v"); err != nil {
			log.Fatal(err)
		}
	}
	usage, err := tenant.Usage()
	store.Close() // the log has everything by then
	fmt.Println(usage, err)
	// Output:
	// level=WARN msg="a namespace nears its quota" namespace=tenant keys=4 max_keys=5 groups=1 max_groups=0
	// {4 1} <nil>
}

// A file that is read by calls of the system in place of being mapped into memory.
func ExampleWithMmap() {
	store, err := api.New(":memory:", api.WithMmap(false))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}

// A snapshot older than that is ended, once it is in a writer's way.
func ExampleWithSnapshotAge() {
	store, err := api.New(":memory:", api.WithSnapshotAge(10*time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}

// Everything that synchronises each commit with the disk, which is the default.
func ExampleDurability() {
	store, err := api.New(":memory:", api.WithDurability(api.DurabilitySync))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
