package storage
import ("testing";"path/filepath";"os";"context";"fmt"
"forge.lthn.ai/core/go-store/kv")
func TestSmoke(t *testing.T) {
	for _, p := range []string{":memory:", filepath.Join(t.TempDir(),"a.db")} {
		d, err := Open(Config{Path:p}); if err!=nil {t.Fatal(err)}
		w := d.Writer()
		for i := range 10 {
			if err := w.Begin(); err!=nil {t.Fatal(err)}
			for j := range 1000 { if err := w.Upsert(kv.Row{Group:"g", Key:fmt.Sprint(i*1000+j), Value:"v", Deadline: kv.NoDeadline}); err!=nil{t.Fatal(err)} }
			if err := w.Commit(); err!=nil {t.Fatal(err)}
		}
		fmt.Println(d.Reads().Get(context.Background(),"g","12"))
		fmt.Println(d.Reads().Count(context.Background(),kv.PrefixRange(""),12))
		fmt.Println(d.Reads().Usage(context.Background(),kv.PrefixRange(""),12))
		fmt.Println(d.Reads().Expired(context.Background(),kv.PrefixRange(""),12))
		n := 0
		for _, err := range d.Reads().Scan(context.Background(),"g",12) { if err!=nil {t.Fatal(err)}; n++ }
		fmt.Println(n)
		fmt.Println(d.Close(), d.UUID())
		es,_ := os.ReadDir(filepath.Dir(p)); for _,e := range es { i,_:=e.Info(); fmt.Println(e.Name(), i.Mode(), i.Size()) }
	}
}
