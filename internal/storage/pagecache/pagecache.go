// Package pagecache gives SQLite a page cache without locks.
//
// SQLite's own cache, as the library builds it, has one lock for all connections
// of the process, and takes it about a dozen times for each row that is looked up.
// Where goroutines are many, one that finds it taken is put to sleep, and with it
// the connection that it holds; readers on two processors then do less than one
// would alone. Every connection has a cache of its own, under a lock of its own, so
// nothing is lost with that lock but the possibility to take pages from an idle
// connection when another wants them: each keeps to its own cache_size.
//
// SQLite asks for a cache through the functions of sqlite3_pcache_methods2
// (https://www.sqlite.org/c3ref/pcache_methods2.html). They can be set only once in
// a process and only before SQLite is used, so importing this package does so, for
// all databases of the process.
package pagecache

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// methods is sqlite3_pcache_methods2.
type methods struct {
	version                      int32
	argument                     uintptr
	init, shutdown               uintptr
	create, cachesize, pagecount uintptr
	fetch, unpin, rekey          uintptr
	truncate, destroy, shrink    uintptr
}

// page is sqlite3_pcache_page, with what we have to know of it behind.
type page struct {
	buffer, extra uintptr
	slot          int32
}

// Installed is whether SQLite took the functions: not if somebody has used it before.
var Installed = install()

func install() bool {
	tls := libc.NewTLS()
	defer tls.Close()
	arguments := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(uintptr(0))))
	if arguments == 0 {
		return false
	}
	defer libc.Xfree(tls, arguments)
	config := func(option int32, m *methods) bool {
		return lib.Xsqlite3_config(tls, option, libc.VaList(arguments, uintptr(unsafe.Pointer(m)))) == lib.SQLITE_OK
	}
	// What SQLite's own cache sets up is needed all the same: the lock of the
	// counters of memory that is taken for other purposes.
	if !config(lib.SQLITE_CONFIG_GETPCACHE2, &original) {
		return false
	}
	ours.argument, ours.init, ours.shutdown = original.argument, original.init, original.shutdown
	return config(lib.SQLITE_CONFIG_PCACHE2, &ours)
}

// SQLite writes to the one and copies the other.
var original, ours = methods{}, methods{
	version: 1,
	create: cabi.Pointer(func(_ *libc.TLS, pageBytes, extraBytes, purgeable int32) uintptr {
		return caches.add(newCache(int(pageBytes), int(extraBytes), purgeable != 0))
	}),
	cachesize: cabi.Pointer(func(_ *libc.TLS, h uintptr, limit int32) { caches.get(h).resize(int(limit)) }),
	pagecount: cabi.Pointer(func(_ *libc.TLS, h uintptr) int32 { return int32(caches.get(h).count) }),
	fetch: cabi.Pointer(func(_ *libc.TLS, h uintptr, key uint32, create int32) uintptr {
		memory, found := caches.get(h).fetch(key, create)
		if !found && memory != 0 {
			*cabi.At[uintptr](cabi.At[page](memory).extra) = 0 // how SQLite knows a new page
		}
		return memory
	}),
	unpin: cabi.Pointer(func(_ *libc.TLS, h, p uintptr, discard int32) {
		caches.get(h).unpin(cabi.At[page](p).slot, discard != 0)
	}),
	rekey:    cabi.Pointer(func(_ *libc.TLS, h, p uintptr, _, to uint32) { caches.get(h).rekey(cabi.At[page](p).slot, to) }),
	truncate: cabi.Pointer(func(_ *libc.TLS, h uintptr, from uint32) { caches.get(h).truncate(from) }),
	destroy:  cabi.Pointer(func(_ *libc.TLS, h uintptr) { caches.remove(h).destroy() }),
	shrink:   cabi.Pointer(func(_ *libc.TLS, h uintptr) { caches.get(h).shrink() }),
}

// caches are known to SQLite by numbers, as it can't hold what Go's collector
// moves or frees. Each is used by one goroutine at a time; looking it up takes no
// lock.
var caches registry

type registry struct {
	all  atomic.Pointer[[]*cache] // by number, less one
	mu   sync.Mutex
	free []uintptr
}

func (r *registry) get(number uintptr) *cache { return (*r.all.Load())[number-1] }

func (r *registry) add(c *cache) uintptr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.free); n > 0 {
		number := r.free[n-1]
		r.free = r.free[:n-1]
		(*r.all.Load())[number-1] = c
		return number
	}
	var old []*cache
	if all := r.all.Load(); all != nil {
		old = *all
	}
	grown := make([]*cache, 2*len(old)+16)
	copy(grown, old)
	for number := len(grown); number > len(old)+1; number-- {
		r.free = append(r.free, uintptr(number))
	}
	grown[len(old)] = c
	r.all.Store(&grown)
	return uintptr(len(old) + 1)
}

func (r *registry) remove(number uintptr) *cache {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := *r.all.Load()
	c := all[number-1]
	all[number-1] = nil
	r.free = append(r.free, number)
	return c
}

// A slot's memory is SQLite's page, what it keeps beside it, and the struct by
// which it knows both. The page comes first: what SQLite reads behind the end of a
// damaged page is then still memory of ours.
func (c *cache) slotBytes() int {
	return aligned(c.pageBytes) + aligned(c.extraBytes) + aligned(int(unsafe.Sizeof(page{})))
}

// layOut makes slot i of so much memory, and is where its page struct is: beside
// what is kept of the page, as both are looked at together.
func (c *cache) layOut(memory uintptr, i int32) uintptr {
	p := memory + uintptr(aligned(c.pageBytes))
	*cabi.At[page](p) = page{buffer: memory, extra: p + uintptr(aligned(int(unsafe.Sizeof(page{})))), slot: i}
	return p
}

func aligned(n int) int { return (n + 7) &^ 7 }

// allocate is memory outside the Go heap, or 0. It takes a lock that SQLite's
// connections share, which is why it is asked for much at a time.
func allocate(n int) uintptr {
	tls := libc.NewTLS()
	defer tls.Close()
	return libc.Xmalloc(tls, types.Size_t(n))
}

func release(memory uintptr) {
	tls := libc.NewTLS()
	defer tls.Close()
	libc.Xfree(tls, memory)
}
