package main

import (
	"fmt"
	"strings"
	"text/template"

	"forge.lthn.ai/core/go-store/api"
)

// renderStrictly is store.Render, with the texts of its errors, but a key that is
// not in the group is one: text/template prints "<no value>" for it, and its
// index nothing at all.
func renderStrictly(store *api.Store, source, group string) (string, error) {
	parsed, err := template.New("render").Option("missingkey=error").Funcs(template.FuncMap{"index": index}).Parse(source)
	if err != nil {
		return "", fmt.Errorf("store.Render: parse template: %w", err)
	}
	fields, err := store.GetAll(group)
	if err != nil {
		return "", err
	}
	var rendered strings.Builder
	if err := parsed.Execute(&rendered, fields); err != nil {
		return "", fmt.Errorf("store.Render: execute template: %w; --allow-missing renders without keys that aren't there", err)
	}
	return rendered.String(), nil
}

// index is text/template's for what a group has: its keys, and the bytes of a
// value.
func index(item any, by ...any) (any, error) {
	for _, one := range by {
		switch of := item.(type) {
		case map[string]string:
			key, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("a key is a string, not %v", one)
			}
			value, there := of[key]
			if !there {
				return nil, fmt.Errorf("map has no entry for key %q", key)
			}
			item = value
		case string:
			at, ok := one.(int)
			if !ok || at < 0 || at >= len(of) {
				return nil, fmt.Errorf("index out of range: %v", one)
			}
			item = of[at]
		default:
			return nil, fmt.Errorf("can't index %v", item)
		}
	}
	return item, nil
}
