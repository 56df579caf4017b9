package sqlite

import (
	"bytes"
	"errors"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// pageGroups yields the groups of a range that have a live row, from a view's pages: it
// goes from one to the next, and looks at rows of those alone in which something may be
// dead.
type pageGroups struct {
	rest       kv.Range
	now        int64
	everything bool // it began with all groups

	entries btree.IndexCursor
	rows    btree.TableReader
	record  btree.Record
	doubts  doubts
	ok      bool   // entries is at one
	begun   bool   // there is a name
	name    []byte // the present group
	within  bool   // entries is in it, and it was not judged
	judged  bool   // it was: the next is to be gone to
}

// doubts are the groups in which something is dead.
type doubts struct {
	all   bool // it may be any
	names map[string]struct{}
}

func (d *doubts) has(name []byte) bool {
	if d.all {
		return true
	}
	_, has := d.names[string(name)]
	return has
}

func newPageGroups(rng kv.Range, now int64) *pageGroups {
	return &pageGroups{rest: rng, now: now, everything: isEverything(rng)}
}

func (s *pageGroups) wide() bool { return false }

func (s *pageGroups) begin(v *view) error {
	p := short()
	err := s.start(v, &p)
	if errors.Is(err, errLong) {
		s.doubts.all = true
		err = s.seek(v)
	}
	return err
}

func (s *pageGroups) start(v *view, p *pace) (err error) {
	if s.doubts, err = v.doubts(s.now, p); err != nil {
		return err
	}
	return s.seek(v)
}

// seek goes to the first group, whatever is dead.
func (s *pageGroups) seek(v *view) (err error) {
	s.entries.Reset(&v.index)
	s.rows.Reset(&v.table)
	s.begun = false
	s.ok, err = s.entries.SeekGE(btree.Text(s.rest.From))
	return err
}

// doubts looks where the dead rows are, if they are few.
func (v *view) doubts(now int64, p *pace) (d doubts, err error) {
	if v.shape.deadlines == 0 {
		return doubts{all: true}, nil
	}
	dead, err := v.countDead(now, littleDead+1, p)
	switch {
	case err != nil || dead == 0:
		return d, err
	case dead > littleDead:
		return doubts{all: true}, nil
	}
	d.names = make(map[string]struct{})
	err = v.eachDead(now, p, func(record *btree.Record) error {
		group, err := record.Column(v.shape.columns[columnGroup])
		if err == nil {
			d.names[string(group.Bytes)] = struct{}{}
		}
		return err
	})
	return d, err
}

// next goes to the next group; its name is in name then. It may be called again after an
// error of the pace.
func (s *pageGroups) next(v *view, p *pace) (found bool, err error) {
	if s.judged {
		s.judged = false
		if err := s.leave(); err != nil {
			return false, err
		}
	}
	for s.ok {
		if !s.within {
			group, _, err := groupAndRow(&s.entries)
			if err != nil {
				return false, err
			}
			if group.Kind != pages.Text || !inRange(s.rest, group.Bytes) {
				s.ok = false
				return false, nil
			}
			if s.begun && bytes.Compare(group.Bytes, s.name) <= 0 {
				return false, errUnread // out of order, so that it might go round for ever
			}
			s.name, s.begun, s.within = append(s.name[:0], group.Bytes...), true, true
		}
		if err := p.step(1); err != nil {
			return false, err
		}
		if live := !s.doubts.has(s.name); live {
			s.within, s.judged = false, true
			return true, nil
		}
		live, err := s.look(v, p)
		if err != nil {
			return false, err
		}
		s.within, s.judged = false, live
		if live {
			return true, nil
		}
	}
	return false, nil
}

// look goes along a group until a row is live.
func (s *pageGroups) look(v *view, p *pace) (live bool, err error) {
	for s.ok {
		group, rowid, err := groupAndRow(&s.entries)
		if err != nil {
			return false, err
		}
		if group.Kind != pages.Text || string(group.Bytes) != string(s.name) {
			return false, nil
		}
		if err := p.step(1); err != nil {
			return false, err
		}
		found, err := s.rows.Get(rowid, &s.record)
		if err != nil || !found {
			return false, faulty(err)
		}
		if live, err := v.live(&s.record, s.now); err != nil || live {
			return live, err
		}
		if s.ok, err = s.entries.Next(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// nearby is how many entries are passed to come to the next group before it is searched
// for.
const nearby = 8

// leave goes behind the present group.
func (s *pageGroups) leave() (err error) {
	for range nearby {
		if s.ok, err = s.entries.Next(); err != nil || !s.ok {
			return err
		}
		group, _, err := groupAndRow(&s.entries)
		if err != nil {
			return err
		}
		if group.Kind != pages.Text || string(group.Bytes) != string(s.name) {
			return nil
		}
	}
	s.ok, err = s.entries.SeekGT(btree.Value{Kind: pages.Text, Bytes: s.name})
	return err
}

// count is how many groups follow.
func (s *pageGroups) count(v *view, p *pace) (n int64, err error) {
	for {
		found, err := s.next(v, p)
		if err != nil || !found {
			return n, err
		}
		n++
	}
}

// chunk appends names until one of the limits is reached.
func (s *pageGroups) chunk(v *view, into []string, rows, bytes int) (_ []string, more bool, err error) {
	p := pace{left: patience * rows}
	for rows > 0 && bytes > 0 {
		found, err := s.next(v, &p)
		if errors.Is(err, errLong) {
			return into, true, nil
		}
		if err != nil {
			return into, false, err
		}
		if !found {
			if s.everything {
				err = v.allNamed(s.now)
			}
			return into, false, err
		}
		into = append(into, string(s.name))
		rows--
		bytes -= len(s.name)
	}
	return into, true, nil
}

// behind is what SQLite is asked for if a page can't be read: the groups behind the last
// that was yielded.
func (s *pageGroups) behind(last *string) source[string] {
	rest := s.rest
	if last != nil {
		rest.From = kv.GroupRange(*last).To
	}
	groups := newMergedNames(rest, s.now)
	groups.everything = s.everything
	return groups
}

// groupExistsBelow is groupExists of the pages alone.
func (v *view) groupExistsBelow(group string, now int64, p *pace) (bool, error) {
	s := newPageGroups(kv.GroupRange(group), now)
	s.doubts.all = true // a look at one row is less than one at what is dead
	if err := s.seek(v); err != nil {
		return false, err
	}
	return s.next(v, p)
}
