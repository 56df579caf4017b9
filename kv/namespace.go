package kv

import (
	"fmt"
	"strings"
)

// NamespaceSeparator stands between a namespace and the group within it.
const NamespaceSeparator = ":"

// ValidateNamespace accepts one or more of the bytes a-z, A-Z, 0-9 and '-'.
// Anything else is an InvalidNamespaceError. A namespace can hold no
// separator, so a group belongs to at most one.
func ValidateNamespace(namespace string) error {
	valid := namespace != ""
	for i := 0; valid && i < len(namespace); i++ {
		c := namespace[i]
		valid = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
	}
	if !valid {
		return fmt.Errorf("namespace %q: use one or more of a-z, A-Z, 0-9 and '-': %w", namespace, InvalidNamespaceError)
	}
	return nil
}

// NamespaceOf is the namespace that a full group name belongs to: what stands
// before the first separator. A group without separator has none.
func NamespaceOf(group string) (namespace string, ok bool) {
	namespace, _, ok = strings.Cut(group, NamespaceSeparator)
	return namespace, ok
}

// NamespaceRange holds every group of a namespace.
func NamespaceRange(namespace string) Range {
	return PrefixRange(namespace + NamespaceSeparator)
}

// QuotaConfig limits a namespace. Zero means unlimited.
type QuotaConfig struct{ MaxKeys, MaxGroups int }

// Validate refuses negative limits with an InvalidQuotaError.
func (q QuotaConfig) Validate() error {
	if q.MaxKeys < 0 || q.MaxGroups < 0 {
		return fmt.Errorf("quota MaxKeys %d, MaxGroups %d: each must be zero or positive: %w",
			q.MaxKeys, q.MaxGroups, InvalidQuotaError)
	}
	return nil
}

// Limited reports whether the quota limits anything.
func (q QuotaConfig) Limited() bool { return q != QuotaConfig{} }

// Usage is what a namespace holds.
type Usage struct{ Keys, Groups int64 }
