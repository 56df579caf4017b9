package writer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"
)

// shadow is the simplest store that does the same: live keys and when they
// expire. Expired rows don't exist for it.
type shadow struct {
	source *testkit.Clock
	keys   map[kv.Key]time.Time // zero: never expires
}

func newShadow(source *testkit.Clock) *shadow {
	return &shadow{source: source, keys: make(map[kv.Key]time.Time)}
}

func (s *shadow) expire() {
	maps.DeleteFunc(s.keys, func(_ kv.Key, deadline time.Time) bool {
		return !deadline.IsZero() && deadline.UnixMilli() <= s.source.Now().UnixMilli()
	})
}

func (s *shadow) usage(namespace string) (usage kv.Usage) {
	s.expire()
	groups := make(map[string]bool)
	for p := range s.keys {
		if strings.HasPrefix(p.Group, namespace+":") {
			usage.Keys++
			groups[p.Group] = true
		}
	}
	usage.Groups = int64(len(groups))
	return usage
}

// allows says whether the quota lets a mutation through.
func (s *shadow) allows(m kv.Mutation) bool {
	s.expire()
	if !m.Quota.Limited() {
		return true
	}
	after := &shadow{source: s.source, keys: maps.Clone(s.keys)}
	all := m.Operations
	if m.Kind == kv.Set {
		all = []kv.Operation{{Group: m.Group, Key: m.Key}}
	}
	for _, item := range all {
		before := after.usage(m.Namespace)
		place := kv.Key{Group: item.Group, Key: item.Key}
		if _, exists := after.keys[place]; exists {
			continue
		}
		after.keys[place] = time.Time{}
		now := after.usage(m.Namespace)
		if m.Quota.MaxKeys > 0 && now.Keys > int64(m.Quota.MaxKeys) {
			return false
		}
		if m.Quota.MaxGroups > 0 && now.Groups > before.Groups && now.Groups > int64(m.Quota.MaxGroups) {
			return false
		}
	}
	return true
}

func (s *shadow) apply(m kv.Mutation) {
	s.expire()
	switch m.Kind {
	case kv.Set:
		deadline := time.Time{}
		if m.HasTTL {
			deadline = s.source.Now().Add(m.TimeToLive)
		}
		s.keys[kv.Key{Group: m.Group, Key: m.Key}] = deadline
	case kv.Batch:
		for _, item := range m.Operations {
			s.keys[kv.Key{Group: item.Group, Key: item.Key}] = time.Time{}
		}
	case kv.Delete:
		delete(s.keys, kv.Key{Group: m.Group, Key: m.Key})
	case kv.DeleteGroup:
		maps.DeleteFunc(s.keys, func(p kv.Key, _ time.Time) bool { return p.Group == m.Group })
	case kv.DeletePrefix:
		maps.DeleteFunc(s.keys, func(p kv.Key, _ time.Time) bool { return m.Range.Contains(p.Group) })
	case kv.PurgeExpired:
	}
	s.expire() // of a time to live of zero or less
}

func randomMutation(random *rand.Rand, namespace string) kv.Mutation {
	group := fmt.Sprint(namespace, ":g", random.IntN(5))
	key := fmt.Sprint("k", random.IntN(8))
	switch random.IntN(20) {
	case 0:
		return kv.Mutation{Kind: kv.DeleteGroup, Group: group}
	case 1:
		return kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange(namespace + ":g" + fmt.Sprint(random.IntN(2)))}
	case 2:
		return kv.Mutation{Kind: kv.PurgeExpired, Range: kv.NamespaceRange(namespace), Limit: 1 + random.IntN(4)}
	case 3, 4, 5:
		return kv.Mutation{Kind: kv.Delete, Group: group, Key: key}
	case 6, 7, 8:
		m := kv.Mutation{Kind: kv.Batch}
		for range random.IntN(5) {
			m.Operations = append(m.Operations, kv.Operation{Group: fmt.Sprint(namespace, ":g", random.IntN(5)), Key: fmt.Sprint("k", random.IntN(8)), Value: "v"})
		}
		return m
	case 9, 10, 11, 12:
		return ttl(set(group, key), time.Duration(random.IntN(3000)-200)*time.Millisecond)
	default:
		return set(group, key)
	}
}
