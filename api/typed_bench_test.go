package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// What a Typed costs beside the bare store, in memory: go test ./api -run '^$' -bench Typed -benchmem
func BenchmarkTyped(b *testing.B) {
	store := openStore(b, ":memory:")
	texts, slices := api.Of(store, "texts", api.Text()), api.Of(store, "bytes", api.Bytes())
	users, gobs := api.Of(store, "json", api.JSON[user]()), api.Of(store, "gob", api.Gob[user]())
	text := string(make([]byte, 100))
	require.NoError(b, texts.Set("k", text))
	require.NoError(b, slices.Set("k", []byte(text)))
	require.NoError(b, users.Set("k", ada))
	require.NoError(b, gobs.Set("k", ada))
	var buffer []byte
	for _, of := range []struct {
		name string
		call func(i int) error
	}{
		{"get bare", func(int) error { _, err := store.Get("texts", "k"); return err }},
		{"get text", func(int) error { _, err := texts.Get("k"); return err }},
		{"get bytes", func(int) error { _, err := slices.Get("k"); return err }},
		{"get append", func(int) (err error) { buffer, err = store.AppendValue(buffer[:0], "texts", "k"); return err }},
		{"get json", func(int) error { _, err := users.Get("k"); return err }},
		{"get gob", func(int) error { _, err := gobs.Get("k"); return err }},
		{"set bare", func(int) error { return store.Set("texts", "k", text) }},
		{"set text", func(int) error { return texts.Set("k", text) }},
		{"set json", func(i int) error { ada := ada; ada.Photo = []byte{byte(i)}; return users.Set("k", ada) }},
	} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if err := of.call(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
