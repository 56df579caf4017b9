package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

var fills = map[string]func(*api.Store) error{
	"empty":   func(*api.Store) error { return nil },
	"shop":    fillShop,
	"million": fillMillion,
	"hostile": fillHostile,
}

// quotas are the namespaces of the shop, and what each may hold.
var quotas = []struct {
	name  string
	quota api.QuotaConfig
	keys  int
}{
	{"shop", api.QuotaConfig{MaxKeys: 20_000, MaxGroups: 50}, 9_400},
	{"billing", api.QuotaConfig{MaxKeys: 2_500, MaxGroups: 12}, 2_210},
	{"mobile", api.QuotaConfig{MaxKeys: 400}, 400},
	{"search", api.QuotaConfig{}, 3_100},
}

var (
	regions = []string{"eu", "us", "ap"}
	wares   = []string{"teapot", "lamp", "notebook", "bicycle bell", "wool blanket", "enamel mug", "fountain pen", "walking boots"}
	first   = []string{"Ada", "Grace", "Linus", "Margaret", "Dennis", "Barbara", "Edsger", "Frances", "Ken", "Radia"}
)

func fillShop(store *api.Store) error {
	random := rand.New(rand.NewPCG(1, 2))
	for _, space := range quotas {
		scope, err := api.NewScopedWithQuota(store, space.name, space.quota)
		if err != nil {
			return err
		}
		batch := new(api.Batch)
		for i := range space.keys {
			group, key, value := ware(random, space.name, i)
			batch.Set(group, key, value)
			if i%500 == 499 || i == space.keys-1 {
				if _, err := scope.Batch(batch); err != nil {
					return err
				}
				batch = new(api.Batch)
			}
		}
	}
	return fillConfig(store)
}

// ware is a row of a namespace of the shop.
func ware(random *rand.Rand, space string, i int) (group, key, value string) {
	region := regions[random.IntN(len(regions))]
	switch space {
	case "shop":
		if i%3 == 0 {
			return "carts/" + region, fmt.Sprintf("cart-%05d", i), cart(random, i)
		}
		return "orders/" + region, fmt.Sprintf("2026-%02d-%05d", 1+i%12, i), order(random, i)
	case "billing":
		return fmt.Sprintf("invoices/2026-%02d", 1+i%9), fmt.Sprintf("INV-%05d", i), fmt.Sprintf(`{"order":"2026-%05d","net":%d.%02d,"currency":"EUR","paid":%t}`, i, 10+random.IntN(900), random.IntN(100), random.IntN(5) > 0)
	case "mobile":
		return "devices", fmt.Sprintf("%08x", random.Uint32()), fmt.Sprintf(`{"os":%q,"push":%t}`, []string{"ios", "android"}[random.IntN(2)], random.IntN(2) == 0)
	default:
		return "suggestions", fmt.Sprintf("%s-%04d", strings.ReplaceAll(wares[random.IntN(len(wares))], " ", "-"), i), fmt.Sprint(random.IntN(10_000))
	}
}

func cart(random *rand.Rand, i int) string {
	return fmt.Sprintf(`{"customer":%q,"lines":[{"item":%q,"count":%d}],"open":true}`, first[i%len(first)], wares[random.IntN(len(wares))], 1+random.IntN(4))
}

func order(random *rand.Rand, i int) string {
	var lines []string
	for range 1 + random.IntN(3) {
		lines = append(lines, fmt.Sprintf(`{"item":%q,"count":%d,"price":%d.%02d}`, wares[random.IntN(len(wares))], 1+random.IntN(4), 5+random.IntN(80), random.IntN(100)))
	}
	return fmt.Sprintf(`{"id":"2026-%05d","customer":{"name":%q,"country":%q},"lines":[%s],"state":%q}`,
		i, first[random.IntN(len(first))], []string{"DE", "FR", "GB", "PT"}[random.IntN(4)], strings.Join(lines, ","), []string{"paid", "packed", "sent", "returned"}[random.IntN(4)])
}

// fillConfig writes what stands outside of every namespace, and a key with a history.
func fillConfig(store *api.Store) error {
	for _, kv := range [][3]string{
		{"config", "currency", "EUR"}, {"config", "greeting", "Guten Tag, здравствуйте, こんにちは, שלום"}, {"config", "theme", "dark"},
		{"config", "retries", "5"}, {"config", "banner.txt", "Summer sale:\n20 % off all lamps.\n\nUntil Sunday."},
		{"config", "logo.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x00\x00\x00\x02\x00\x08\x06"},
	} {
		if err := store.Set(kv[0], kv[1], kv[2]); err != nil {
			return err
		}
	}
	for _, flags := range []string{
		`{"checkout":{"express":false,"rollout":0.05},"search":{"engine":"v1"},"owners":["ada"]}`,
		`{"checkout":{"express":true,"rollout":0.25},"search":{"engine":"v1"},"owners":["ada"]}`,
		`{"checkout":{"express":true,"rollout":0.25},"search":{"engine":"v2","fuzzy":true},"owners":["ada","grace"]}`,
		`{"checkout":{"express":true,"rollout":0.5},"search":{"engine":"v2","fuzzy":true},"owners":["ada","grace"]}`,
	} {
		if err := store.Set("config", "feature-flags", flags); err != nil {
			return err
		}
	}
	for i, name := range first {
		session := fmt.Sprintf(`{"user":%q,"since":"2026-11-29T%02d:12:00Z","cart":"cart-%05d"}`, strings.ToLower(name), 8+i, i*3)
		if err := store.SetWithTTL("sessions", fmt.Sprintf("%s-%04x", strings.ToLower(name), 40_000+i*977), session, time.Duration(2+i*i)*47*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func fillMillion(store *api.Store) error {
	items := make([]api.Item, 0, 20_000)
	for i := range 1_000_000 {
		items = append(items, api.Item{Group: "million", Key: fmt.Sprintf("key-%07d", i), Value: fmt.Sprintf("value %d", i)})
		if len(items) == cap(items) {
			if err := store.SetAll(items); err != nil {
				return err
			}
			items = items[:0]
		}
	}
	return store.Set("small", "k", "v")
}

// markup is what would run, or draw, if the page took a text for HTML.
const markup = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`

func fillHostile(store *api.Store) error {
	rows := [][3]string{
		{markup, markup, markup}, {"'\"><svg/onload=alert(1)>", "javascript:alert(1)", "{{7*7}}"},
		{"", "", ""}, {".", "..", "."}, {"..", ".", ".."}, {"a/b", "c/d", "slash"}, {"a%2Fb", "c%2Fd", "percent"}, {",", ",x", "comma"}, {"watch", "watch", "watch"},
		{"\x00", "\x00\x01", "\x00"}, {"\xff\xfe", "\xc3", "\xff\xfe\xfd bytes"}, {"line\nend", "tab\tCR\r\n", "a\r\nb\tc\n"},
		{"\u202eevil", "\u202egnp.exe", "abc\u202edef \u2066x\u2069"}, {"שלום", "مرحبا", "مرحبا بالعالم"}, {"zero\u200bwidth", "\ufeffbom", "a\u200bb"},
		{"big", "json", `{"list":[` + strings.Repeat(`{"a":[1,2,3],"b":"x"},`, 100_000) + `0]}`}, {"big", "line", strings.Repeat("x", 3<<20)}, {"big", "lines", strings.Repeat("all work and no play\n", 100_000)},
		{"big", "deep", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)}, {"big", "numbers", `{"n":12345678901234567890,"n":1e400}`},
		{"long", strings.Repeat("k", 10_000), "a long key"}, {strings.Repeat("g", 10_000), "k", "a long group"},
		{"emoji", "👩‍👩‍👧‍👦", "❤️ family 👩‍👩‍👧‍👦"}, {"__proto__", "constructor", "toString"},
	}
	for _, row := range rows {
		if err := store.Set(row[0], row[1], row[2]); err != nil {
			return err
		}
	}
	return nil
}
