package metamorphic

import (
	"fmt"
	"reflect"
	"strings"
)

// program is what a run does.
type program struct {
	settings   settings
	operations []operation
}

// GoString is what rapid prints. It is printed in full as a test.
func (p program) GoString() string { return fmt.Sprintf("%d operations", len(p.operations)) }

// test is the program as a test that can be pasted.
func (p program) test() string {
	var b strings.Builder
	fmt.Fprintf(&b, "func TestRegression_(t *testing.T) {\n\treplay(t, %s,\n", source(p.settings))
	for _, o := range p.operations {
		fmt.Fprintf(&b, "\t\t%s,\n", source(o))
	}
	return b.String() + "\t)\n}\n"
}

// source is a value as Go source, without the fields that are zero.
func sourceOf(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return "&" + sourceOf(v.Elem())
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, strings.TrimPrefix(sourceOf(v.Index(i)), typeName(v.Type().Elem())))
		}
		return typeName(v.Type()) + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			if field := v.Field(i); !field.IsZero() {
				parts = append(parts, v.Type().Field(i).Name+": "+sourceOf(field))
			}
		}
		return typeName(v.Type()) + "{" + strings.Join(parts, ", ") + "}"
	case reflect.String:
		return fmt.Sprintf("%+q", v.String())
	default:
		return fmt.Sprintf("%#v", v)
	}
}

func source(a any) string { return sourceOf(reflect.ValueOf(a)) }

func typeName(t reflect.Type) string { return strings.ReplaceAll(t.String(), "metamorphic.", "") }
