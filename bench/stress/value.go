package stress

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A value tells where it belongs, which write it is of its key, and when that
// write began (a tick of the run's logical clock), and ends in filler that
// follows from these. So a reader can judge whatever it finds, byte for byte,
// without a copy of it.

// fillers is where filler is cut from: bytes of every kind, NUL and what is no
// UTF-8 among them, the same in every run.
var fillers = func() string {
	random, bytes := rand.New(rand.NewPCG(1, 2)), make([]byte, 64<<10)
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	return string(bytes)
}()

// mix spreads numbers over all 64 bits (the finaliser of splitmix64).
func mix(numbers ...uint64) (h uint64) {
	for _, n := range numbers {
		h += n + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

func hash(texts ...string) uint64 {
	h := fnv.New64a()
	for _, text := range texts {
		_, _ = h.Write([]byte(text))
		_, _ = h.Write([]byte{0xff})
	}
	return h.Sum64()
}

// valueOf is the value of write number of a key, which began at tick.
func valueOf(group, key string, number, tick uint64) string {
	var text strings.Builder
	text.WriteString(group)
	text.WriteByte('/')
	text.WriteString(key)
	text.WriteByte('#')
	text.WriteString(strconv.FormatUint(number, 10))
	text.WriteByte('@')
	text.WriteString(strconv.FormatUint(tick, 10))
	text.WriteByte('|')
	text.WriteString(filler(hash(group, key), number, tick))
	return text.String()
}

// filler is mostly short, now and then longer than a page of the database.
func filler(id, number, tick uint64) string {
	h := mix(id, number, tick)
	length := h >> 8 % 64
	switch h % 32 {
	case 0:
		length = h >> 8 % 12_000
	case 1, 2, 3, 4:
		length = h >> 8 % 1_000
	}
	from := (h >> 32) % (uint64(len(fillers)) - length)
	return fillers[from : from+length]
}

// parse takes a value of this key apart. It is not ok if no write of this
// package ever made the value for this key.
func parse(group, key, value string) (number, tick uint64, ok bool) {
	rest, ok := strings.CutPrefix(value, group+"/"+key+"#")
	if !ok {
		return 0, 0, false
	}
	first, rest, _ := strings.Cut(rest, "@")
	second, rest, ok := strings.Cut(rest, "|")
	number, err := strconv.ParseUint(first, 10, 64)
	tick, err2 := strconv.ParseUint(second, 10, 64)
	if !ok || err != nil || err2 != nil {
		return 0, 0, false
	}
	return number, tick, rest == filler(hash(group, key), number, tick)
}

// brief is a value as a finding shows it: without its filler.
func brief(value string, found bool) string {
	if !found {
		return "nothing"
	}
	head, _, _ := strings.Cut(value, "|")
	return strconv.Quote(head[:min(len(head), 60)])
}

// forever is the time to live of keys that must not expire during a run.
const forever = 10_000 * time.Hour
