package certmagicstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"forge.lthn.ai/core/go-store/api"
	certmagicstore "forge.lthn.ai/core/go-store/contrib/certmagic"
)

// certificates are in most of these examples: those of two names, and the key of one.
func certificates() (*api.Store, *certmagicstore.Storage) {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	storage, ctx := certmagicstore.New(store, certmagicstore.Options{}), context.Background()
	for _, key := range []string{"ca/example.com/cert", "ca/example.com/key", "ca/example.org/cert"} {
		if err := storage.Store(ctx, key, []byte("PEM")); err != nil {
			log.Fatal(err)
		}
	}
	return store, storage
}

// Tenants that have namespaces of their own have certificates of their own.
func ExampleNew() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 1000})
	if err != nil {
		log.Fatal(err)
	}
	storage := certmagicstore.New(tenant, certmagicstore.Options{Group: "tls"})
	fmt.Println(storage.Store(context.Background(), "acme/account.json", []byte("{}")))
	fmt.Println(store.Get("tenant:tls", "acme/account.json"))
	// Output:
	// <nil>
	// {} <nil>
}

// Slashes that are doubled or at an end make no other key, and no key leads out of the group.
func ExampleStorage_Store() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	fmt.Println(storage.Store(ctx, "/ca//example.net/cert/", []byte("PEM")))
	fmt.Println(store.Get("certmagic", "ca/example.net/cert"))

	err := storage.Store(ctx, "ca/../../secret", []byte("PEM"))
	fmt.Println(errors.Is(err, fs.ErrInvalid))
	// Output:
	// <nil>
	// PEM <nil>
	// true
}

// What is missing is fs.ErrNotExist, as certmagic asks of storages, and api.NotFoundError too.
func ExampleStorage_Load() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	pem, err := storage.Load(ctx, "ca/example.com/cert")
	fmt.Println(string(pem), err)

	_, err = storage.Load(ctx, "ca/example.net/cert")
	fmt.Println(errors.Is(err, fs.ErrNotExist), errors.Is(err, api.NotFoundError))
	// Output:
	// PEM <nil>
	// true true
}

// All that lies below a key goes with it, in one commit.
func ExampleStorage_Delete() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	before, _ := store.Revision()
	fmt.Println(storage.Delete(ctx, "ca/example.com"))
	after, _ := store.Revision()
	fmt.Println("commits:", after-before)
	fmt.Println(storage.List(ctx, "", true))
	// Output:
	// <nil>
	// commits: 1
	// [ca ca/example.org ca/example.org/cert] <nil>
}

// A key that others lie below exists, as a folder does.
func ExampleStorage_Exists() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	for _, key := range []string{"ca/example.com/key", "ca/example.com", "ca/example"} {
		fmt.Println(key, storage.Exists(ctx, key))
	}
	// Output:
	// ca/example.com/key true
	// ca/example.com true
	// ca/example false
}

// The keys of the next level, which reads no more than those; or all of them.
func ExampleStorage_List() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	fmt.Println(storage.List(ctx, "ca", false))
	keys, err := storage.List(ctx, "ca", true)
	fmt.Println(len(keys), keys[0], keys[1], err)
	// Output:
	// [ca/example.com ca/example.org] <nil>
	// 5 ca/example.com ca/example.com/cert <nil>
}

// certmagic cleans up by what Stat says: folders that hold nothing any more, and files by
// their times.
func ExampleStorage_Stat() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	file, err := storage.Stat(ctx, "ca/example.com/cert")
	fmt.Println(file.Key, file.Size, file.IsTerminal, err)
	folder, err := storage.Stat(ctx, "ca")
	fmt.Println(folder.Key, folder.Size, folder.IsTerminal, err)
	fmt.Println("as old as its latest file:", !folder.Modified.Before(file.Modified))
	// Output:
	// ca/example.com/cert 3 true <nil>
	// ca 0 false <nil>
	// as old as its latest file: true
}
