package btree

import (
	"bytes"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// Index is one whose columns ascend. Its entries have the columns that it is of, then the
// rowid. An index of a table WITHOUT ROWID, or the table itself, can't be told from it here.
type Index struct {
	Pages Pages
	Root  uint32
}

// Find is the rowid of the entry whose first two columns are these texts. Of several it
// is any.
func (x *Index) Find(first, second string) (rowid int64, found bool, err error) {
	key := [2]Value{Text(first), Text(second)}
	w := newProbe(key[:])
	var p page
	if err := x.Pages.root(&p, x.Root, indexes); err != nil {
		return 0, false, err
	}
	for range deepest {
		i, equal, err := w.search(&x.Pages, &p, equalTo)
		if err != nil {
			return 0, false, err
		}
		if equal {
			var r Record
			_, _, rowid, err := r.pair(&x.Pages, &p, i)
			return rowid, err == nil, err
		}
		if p.leaf {
			return 0, false, nil
		}
		child, err := p.child(i)
		if err != nil {
			return 0, false, err
		}
		if err := x.Pages.load(&p, child, p.number, indexes); err != nil {
			return 0, false, err
		}
	}
	return 0, false, p.damaged(reasonDeep)
}

// probe is what is looked for.
type probe struct {
	key           []Value
	texts         int // 1 or 2: the key is that many, and nothing else
	first, second []byte
}

func newProbe(key []Value) (w probe) {
	w.key = key
	if len(key) > 0 && len(key) <= 2 && key[0].Kind == pages.Text && key[len(key)-1].Kind == pages.Text {
		w.texts, w.first, w.second = len(key), key[0].Bytes, key[len(key)-1].Bytes
	}
	return w
}

// side says at which end of the entries that are equal to the key a search ends.
type side uint8

const (
	before  side = iota
	equalTo      // at any of them
	behind
)

// search is the first cell whose key is not less than what is looked for, or behind it.
func (w *probe) search(s *Pages, p *page, to side) (i int, equal bool, err error) {
	low, high := 0, p.n
	for low < high {
		mid := int(uint(low+high) / 2)
		d, ok := w.quick(p, mid)
		if !ok {
			if d, err = w.compare(s, p, mid); err != nil {
				return 0, false, err
			}
		}
		switch {
		case d > 0 || d == 0 && to == before:
			high = mid
		case d == 0 && to == equalTo:
			return mid, true, nil
		default:
			low = mid + 1
		}
	}
	return low, false, nil
}

// quick compares an entry with the key where both are of the common kind.
func (w *probe) quick(p *page, i int) (d int, ok bool) {
	first, second, rest, end := p.split(i)
	if end == 0 || w.texts == 0 {
		return 0, false
	}
	if f := p.data[first:second]; string(f) != string(w.first) {
		return bytes.Compare(f, w.first), true
	}
	if w.texts == 1 {
		return 0, true
	}
	return bytes.Compare(p.data[second:rest], w.second), true
}

// compare is quick for every entry and key.
func (w *probe) compare(s *Pages, p *page, i int) (int, error) {
	var r Record
	if err := r.indexRecord(s, p, i); err != nil {
		return 0, err
	}
	for i := range w.key {
		v, err := r.Column(i)
		if err != nil {
			return 0, err
		}
		if d := compareValues(&v, &w.key[i]); d != 0 {
			return d, nil
		}
	}
	return 0, nil
}

// pair is an entry of two texts and a rowid.
func (r *Record) pair(s *Pages, p *page, i int) (first, second []byte, rowid int64, err error) {
	if a, b, c, end := p.split(i); end > 0 {
		if rowid, n := pages.ParseInteger(p.data[a-1], p.data[c:end]); n == end-c {
			return p.data[a:b:b], p.data[b:c:c], rowid, nil
		}
	}
	if err := r.indexRecord(s, p, i); err != nil {
		return nil, nil, 0, err
	}
	var v [3]Value
	for i := range v {
		if v[i], err = r.Column(i); err != nil {
			return nil, nil, 0, err
		}
	}
	if v[0].Kind != pages.Text || v[1].Kind != pages.Text || v[2].Kind != pages.Integer {
		return nil, nil, 0, RefusedError
	}
	return v[0].Bytes, v[1].Bytes, v[2].Int, nil
}
