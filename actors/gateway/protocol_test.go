package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/stretchr/testify/require"
)

// everyRequest is one of each, and what answers it.
var everyRequest = []struct{ request, answer any }{
	{protocol.Set{}, protocol.SetDone{}},
	{protocol.SetWithTTL{}, protocol.SetWithTTLDone{}},
	{protocol.Tell{}, protocol.TellDone{}},
	{protocol.Delete{}, protocol.DeleteDone{}},
	{protocol.DeleteGroup{}, protocol.DeleteGroupDone{}},
	{protocol.Batch{}, protocol.BatchDone{}},
	{protocol.CompareAndSet{}, protocol.CompareAndSetDone{}},
	{protocol.Increment{}, protocol.IncrementDone{}},
	{protocol.Get{}, protocol.GetDone{}},
	{protocol.GetMany{}, protocol.GetManyDone{}},
	{protocol.Scan{}, protocol.ScanDone{}},
	{protocol.Usage{}, protocol.UsageDone{}},
	{protocol.Subscribe{}, protocol.Subscribed{}},
	{protocol.Credit{}, protocol.Failed{}},
	{protocol.Unsubscribe{}, protocol.Failed{}},
	{protocol.OpenNamespace{}, protocol.NamespaceOpened{}},
}

// methodsOf are the types of a file of package protocol that have a method.
func methodsOf(t *testing.T, file, method string) (types []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../protocol/"+file, nil, 0)
	require.NoError(t, err)
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == method {
			types = append(types, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	slices.Sort(types)
	return types
}

// structsOf are the exported structs of a file of package protocol.
func structsOf(t *testing.T, file string) (types []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../protocol/"+file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok && s.Name.IsExported() {
			if _, ok := s.Type.(*ast.StructType); ok {
				types = append(types, s.Name.Name)
			}
		}
		return true
	})
	slices.Sort(types)
	return types
}

// TestEveryRequestIsKnown: a request that is new in package protocol is known wherever
// the gateway goes by a message's type. By what it asks for it is known to serve: see
// TestEveryRequestIsServed of package api.
func TestEveryRequestIsKnown(t *testing.T) {
	var listed []string
	for _, each := range everyRequest {
		listed = append(listed, reflect.TypeOf(each.request).Name())
	}
	slices.Sort(listed)
	require.Equal(t, structsOf(t, "requests.go"), listed, "the list of this test")
	require.Equal(t, listed, methodsOf(t, "requests.go", "RequestID"))
	require.Equal(t, listed, methodsOf(t, "requests.go", "IgnoreDeadLetterLogging"), "else values are logged")

	replies := slices.DeleteFunc(structsOf(t, "replies.go"), func(name string) bool { return name == "Event" || name == "ScanEntry" })
	require.Equal(t, replies, methodsOf(t, "replies.go", "RequestID"))
	require.Equal(t, replies, methodsOf(t, "replies.go", "Failure"))
	quiet := slices.DeleteFunc(methodsOf(t, "replies.go", "IgnoreDeadLetterLogging"), func(name string) bool { return name == "Event" })
	require.Equal(t, replies, quiet, "else values are logged")

	c := newCore(systemOf(t), nil)
	for _, each := range everyRequest {
		t.Run(reflect.TypeOf(each.request).Name(), func(t *testing.T) {
			full := reflect.New(reflect.TypeOf(each.request))
			held := fill(t, full.Elem())
			value, pointer := full.Elem().Interface(), full.Interface()

			require.Equal(t, value, behindPointer(pointer))
			require.Nil(t, behindPointer(reflect.Zero(full.Type()).Interface()), "a pointer to nothing is none")
			require.Nil(t, behindPointer(value))

			for _, message := range []any{value, pointer} {
				bytes, known := weigh(message)
				require.True(t, known)
				require.GreaterOrEqual(t, bytes, held, "what it holds counts in the mailbox")

				refused := c.refusal(message, kv.ClosedError)
				require.IsType(t, each.answer, refused)
				require.ErrorIs(t, refused.(protocol.Reply).Failure(), kv.ClosedError)
				require.Equal(t, uint64(7), refused.(protocol.Reply).RequestID())
			}
		})
	}
}

// fill has a message hold 100 bytes wherever it can hold any, and is how many it holds.
func fill(t *testing.T, message reflect.Value) (held int) {
	text := strings.Repeat("x", 100)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Interface().(type) {
		case kv.Match:
			v.Set(reflect.ValueOf(kv.Exactly(text)))
			held += len(text)
			return
		case kv.Writes:
			v.Set(reflect.ValueOf(kv.NewWrites([]kv.Operation{{Group: text, Key: text, Value: text, Notify: text}},
				[]kv.Condition{{Group: text, Key: text}})))
			held += 6 * len(text)
			return
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString(text)
			held += len(text)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 3, 3))
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Uint64:
			v.SetUint(7)
		case reflect.Int, reflect.Int64:
			v.SetInt(7)
		case reflect.Bool:
			v.SetBool(true)
		default:
			t.Errorf("%s holds a %s: say here what it weighs", message.Type(), v.Type())
		}
	}
	walk(message)
	return held
}

// TestTheTableIsWhole: docs/ACTORS.md names every request and what answers it.
func TestTheTableIsWhole(t *testing.T) {
	page, err := os.ReadFile("../../docs/ACTORS.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n## The protocol\n")
	require.True(t, found)
	table, _, found = strings.Cut(table, "\n**Order.**")
	require.True(t, found)
	answers := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)`[^|]* \\| (.+?) \\| ").FindAllStringSubmatch(table, -1) {
		answers[row[1]] = row[2]
	}
	exceptions := map[string]string{"Credit": "none", "Unsubscribe": "SubscriptionEnded"}
	for _, each := range everyRequest {
		name, answer := reflect.TypeOf(each.request).Name(), reflect.TypeOf(each.answer).Name()
		if other := exceptions[name]; other != "" {
			answer = other
		}
		require.Contains(t, answers, name)
		require.Contains(t, answers[name], answer, name)
	}
	for _, message := range structsOf(t, "replies.go") {
		if message != "ScanEntry" { // part of one
			require.Contains(t, table, "`"+message, "what %s is", message)
		}
	}
}
