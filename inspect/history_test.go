package inspect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/inspect"
)

// TestHistoriesAreBounded: an answer holds so many bytes of a key's last changes, and the last one
// in any case.
func TestHistoriesAreBounded(t *testing.T) {
	store := open(t)
	for i := range 10 {
		require.NoError(t, store.Set("g", "k", fmt.Sprint(i)))
	}
	type history struct {
		Events   []struct{ Value string }
		Complete bool
	}
	for bound, want := range map[int]int{1: 1, 3: 1, 5: 1, 6: 2, 12: 4, 29: 9, 30: 10, 31: 10} { // 3 bytes each
		s := serveHandler(t, inspect.WithBounds(inspect.Handler(store), inspect.Bounds{PageBytes: bound}))
		h := decode[history](t, s.get("ui/history/g/k"))
		require.Len(t, h.Events, want, bound)
		require.Equal(t, want == 10, h.Complete, bound)
		for i, event := range h.Events {
			require.Equal(t, fmt.Sprint(9-i), event.Value)
		}
	}
}

// stalled is a client that takes nothing of its answer until it is let go.
type stalled struct {
	*httptest.ResponseRecorder
	reached chan<- struct{}
	release <-chan struct{}
}

func (s stalled) Write(p []byte) (int, error) {
	s.reached <- struct{}{}
	<-s.release
	return s.ResponseRecorder.Write(p)
}

// TestHistoriesOfSlowClients: they keep no other caller from reading the log.
func TestHistoriesOfSlowClients(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("g", "k", "v"))
	h := inspect.Handler(store)
	ask := func(w http.ResponseWriter) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // where it would wait for ever
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/ui/history/g/k", nil)
		r.RemoteAddr = "127.0.0.1:1"
		h.ServeHTTP(w, r)
	}
	reached, release := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	for range 2 {
		slow.Go(func() { ask(stalled{httptest.NewRecorder(), reached, release}) })
		<-reached
	}
	w := httptest.NewRecorder()
	ask(w)
	close(release)
	slow.Wait()
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, w.Body.String(), `"complete":true`)
}
