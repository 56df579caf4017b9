package notifier

import "forge.lthn.ai/core/go-store/kv"

// Wildcard stands for every group, or every key, where a watcher is asked for.
const Wildcard = "*"

// WatchFilter is what a watcher of a group and a key wants. Either may be
// Wildcard; with a namespace, a wildcard stands for the groups of that one.
func WatchFilter(namespace, group, key string) (f kv.Filter) {
	if group != Wildcard {
		f.Group = kv.Exactly(group)
	} else if namespace != "" {
		f.Group = kv.Prefix(namespace + kv.NamespaceSeparator)
	}
	if key != Wildcard {
		f.Key = kv.Exactly(key)
	}
	return f
}
