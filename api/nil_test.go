package api_test

import (
	"context"
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// TestNilStore calls every method of a store that is none, and of a view of one,
// with arguments that would be refused by themselves as well as with zero ones:
// none panics, and each that can fail says what is missing.
func TestNilStore(t *testing.T) {
	for name, handle := range map[string]any{
		"nil store": (*api.Store)(nil), "nil view": (*api.ScopedStore)(nil),
		"zero store": new(api.Store), "zero view": new(api.ScopedStore),
		"with a context":      (*api.Store)(nil).WithContext(t.Context()),
		"view with a context": (*api.ScopedStore)(nil).WithContext(t.Context()),
	} {
		for _, kind := range []string{"zero", "odd"} {
			value := reflect.ValueOf(handle)
			for i := range value.NumMethod() {
				method := value.Type().Method(i)
				t.Run(name+" "+kind+" "+method.Name, func(t *testing.T) {
					results := value.Method(i).Call(argumentsOf(method.Type, kind == "odd"))
					requireNilStore(t, method.Name, results)
				})
			}
		}
	}
	_, err := api.NewScoped(nil, "tenant")
	require.ErrorIs(t, err, api.NilStoreError)
	_, err = api.NewScopedWithQuota(nil, "", api.QuotaConfig{MaxKeys: -1})
	require.EqualError(t, err, "store.NewScopedWithQuota: store instance is nil")
	_, err = (*api.Store)(nil).Get("g", "k")
	require.ErrorContains(t, err, "store instance is nil")
	require.ErrorContains(t, (*api.Store)(nil).Set("g", "k", "v"), "store.Set: store instance is nil")
	require.EqualError(t, (*api.Store)(nil).Close(), "store.Close: store instance is nil")
}

func argumentsOf(method reflect.Type, odd bool) (arguments []reflect.Value) {
	last := method.NumIn()
	if method.IsVariadic() {
		last--
	}
	for i := 1; i < last; i++ { // 0 is the receiver
		value := reflect.New(method.In(i)).Elem()
		if odd {
			switch value.Kind() {
			case reflect.String:
				value.SetString("{{")
			case reflect.Int, reflect.Int64:
				value.SetInt(math.MinInt64)
			case reflect.Func:
				value.Set(reflect.MakeFunc(value.Type(), func([]reflect.Value) []reflect.Value {
					panic("it is not to be called")
				}))
			case reflect.Interface:
				value.Set(reflect.ValueOf(context.Background()))
			}
			if options, ok := value.Addr().Interface().(*api.ScanOptions); ok {
				*options = api.ScanOptions{Limit: -1, Cursor: "none"}
			}
		}
		arguments = append(arguments, value)
	}
	return arguments
}

func requireNilStore(t *testing.T, method string, results []reflect.Value) {
	t.Helper()
	if len(results) == 0 {
		return
	}
	last := results[len(results)-1]
	switch last.Kind() {
	case reflect.Func:
		if !last.Type().CanSeq2() {
			if last.Type().NumIn() == 0 {
				last.Call(nil) // unregister
			}
			return
		}
		loops := 0
		for _, err := range last.Seq2() {
			loops++
			require.ErrorIs(t, err.Interface().(error), api.NilStoreError)
		}
		require.Equal(t, 1, loops)
	case reflect.Interface:
		err, ok := last.Interface().(error)
		require.True(t, ok, "an error")
		require.ErrorIs(t, err, api.NilStoreError)
		require.Contains(t, err.Error(), "store instance is nil")
		if method != "GetAll" { // which speaks as All, as the original did
			require.Contains(t, err.Error(), "store."+method+": ")
		}
	case reflect.Pointer:
		if watcher, ok := last.Interface().(*api.Watcher); ok {
			_, open := <-watcher.Events
			require.False(t, open)
			require.Zero(t, watcher.Dropped())
		}
	}
}

// TestNilContext calls everything that takes a context with none, on a store that is open:
// what has an answer says what is missing, and a handle with no context is one without.
func TestNilContext(t *testing.T) {
	takesContext := reflect.TypeFor[context.Context]()
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scoped, err := api.NewScoped(store, "tenant")
		require.NoError(t, err)
		called := 0
		for _, on := range []any{store, scoped, api.Of(store, "g", api.Text())} {
			value := reflect.ValueOf(on)
			for i := range value.NumMethod() {
				method := value.Type().Method(i)
				if method.Type.NumIn() < 2 || method.Type.In(1) != takesContext {
					continue
				}
				called++
				results := value.Method(i).Call(argumentsOf(method.Type, false))
				if method.Name == "WithContext" {
					set := results[0].MethodByName("Set")
					arguments := valuesOf("g", "k", "v")
					outcome := set.Call(arguments[len(arguments)-set.Type().NumIn():]) // of a typed group: key and value
					require.True(t, outcome[0].IsNil(), "%T", on)
					continue
				}
				last := results[len(results)-1]
				if last.Kind() == reflect.Func {
					for _, err := range last.Seq2() {
						last = err
					}
				}
				err, ok := last.Interface().(error)
				require.True(t, ok, "%T.%s", on, method.Name)
				require.ErrorIs(t, err, api.InvalidOptionError, "%T.%s", on, method.Name)
				require.ErrorContains(t, err, "store."+method.Name+": the context is nil", "%T", on)
			}
		}
		require.GreaterOrEqual(t, called, 9, "Backup, Check, Compact, Fold, Subscribe, WithContext")
	})
	var none context.Context
	require.ErrorContains(t, api.Restore(none, newPath(t), newPath(t)), "store.Restore: the context is nil")
	_, err := api.Salvage(none, newPath(t), newPath(t))
	require.ErrorContains(t, err, "store.Salvage: the context is nil")
}

func valuesOf(texts ...string) (values []reflect.Value) {
	for _, text := range texts {
		values = append(values, reflect.ValueOf(text))
	}
	return values
}

// TestEmptyResultsAreNotNil, as the original's were: JSON has [] and {} for them.
func TestEmptyResultsAreNotNil(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.SetWithTTL("dead", "k", "v", 0))
		snapshot, err := store.Snapshot()
		require.NoError(t, err)
		defer snapshot.Close()
		check := func(of interface {
			GetAll(group string) (map[string]string, error)
			GetPage(group string, offset, limit int) ([]api.KeyValue, error)
			Groups(prefix string) ([]string, error)
		}) {
			for _, group := range []string{"none", "dead"} {
				all, err := of.GetAll(group)
				require.NoError(t, err)
				require.NotNil(t, all)
				require.Empty(t, all)
				for _, limit := range []int{0, 5} {
					for _, offset := range []int{0, 3} {
						page, err := of.GetPage(group, offset, limit)
						require.NoError(t, err)
						require.NotNil(t, page)
						require.Empty(t, page)
					}
				}
				groups, err := of.Groups(group)
				require.NoError(t, err)
				require.NotNil(t, groups)
				require.Empty(t, groups)
			}
		}
		check(store)
		check(snapshot)
		require.NoError(t, store.(transactor).Transaction(func(tx *api.Transaction) error {
			check(tx)
			return nil
		}))
		many, err := store.GetMany("none", "k")
		require.NoError(t, err)
		require.NotNil(t, many)
		buffer, err := store.AppendValue([]byte{}, "none", "k")
		require.Error(t, err)
		require.NotNil(t, buffer)
	})
}
