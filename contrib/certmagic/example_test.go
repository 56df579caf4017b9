package certmagicstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/caddyserver/certmagic"

	"forge.lthn.ai/core/go-store/api"
	certmagicstore "forge.lthn.ai/core/go-store/contrib/certmagic"
)

func Example() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	var storage certmagic.Storage = certmagicstore.New(store, certmagicstore.Options{})
	// certmagic.Default.Storage = storage

	ctx := context.Background()
	if err := storage.Lock(ctx, "issue"); err != nil {
		log.Fatal(err)
	}
	if err := storage.Store(ctx, "certificates/ca/example.com/example.com.crt", []byte("PEM")); err != nil {
		log.Fatal(err)
	}
	if err := storage.Unlock(ctx, "issue"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(storage.List(ctx, "certificates/ca", false))
	fmt.Println(store.Get("certmagic", "certificates/ca/example.com/example.com.crt"))
	// Output:
	// [certificates/ca/example.com] <nil>
	// PEM <nil>
}
