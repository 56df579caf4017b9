package bench

import "fmt"

// The core workloads of YCSB (Cooper et al., "Benchmarking cloud serving
// systems with YCSB", SoCC 2010; github.com/brianfrankcooper/YCSB/workloads).
// A record is one value of Plan.RecordSize: 1,000 bytes by default, the size of
// YCSB's ten fields of 100. An update writes the whole of it.

// ycsbMaxScan is YCSB's maxscanlength.
const ycsbMaxScan = 100

var ycsbWorkloads = []Workload{
	ycsb("ycsb-a", "YCSB A, update heavy: 50 % read, 50 % update, zipfian", true, nil,
		func(s *session) (*work, error) { return s.readsAndUpdates(50), nil }),
	ycsb("ycsb-b", "YCSB B, read mostly: 95 % read, 5 % update, zipfian", true, nil,
		func(s *session) (*work, error) { return s.readsAndUpdates(95), nil }),
	ycsb("ycsb-c", "YCSB C, read only: 100 % read, zipfian", false, nil,
		func(s *session) (*work, error) { return s.gets(s.plan.Keys), nil }),
	ycsb("ycsb-d", "YCSB D, read latest: 95 % read, 5 % insert, latest", true, nil, (*session).readLatest),
	ycsb("ycsb-e", "YCSB E, short ranges: 95 % scan of 1 to 100 records, 5 % insert, zipfian", true,
		[]Need{NeedScan}, (*session).shortRanges),
	ycsb("ycsb-f", "YCSB F, read-modify-write: 50 % read, 50 % read and update, zipfian", true, nil, (*session).readModifyWrite),
}

func ycsb(name, about string, writes bool, needs []Need, begin func(*session) (*work, error)) Workload {
	data := func(p *Plan) dataset {
		return dataset{name: "ycsb", keys: p.Keys, sizes: p.RecordSize}
	}
	if name == "ycsb-d" || name == "ycsb-e" { // they insert: the data set grows
		shared := data
		data = func(p *Plan) dataset {
			d := shared(p)
			d.name = name
			return d
		}
	}
	return Workload{
		Name: name, About: about, Writes: writes, Needs: append([]Need{NeedGet}, needs...), ownKeys: true,
		data: data, begin: begin,
	}
}

// insert writes the next key. Readers may count on it from then on.
func (s *session) insert(c *Caller) (Kind, error) {
	_, err := s.setKey(c, s.keys.insert())
	if err == nil {
		s.keys.acknowledge()
	}
	return Write, err
}

func (s *session) readLatest() (*work, error) {
	getter := s.target.(Getter)
	return &work{step: func(c *Caller) (Kind, error) {
		if c.Random.IntN(100) < 5 {
			return s.insert(c)
		}
		number := c.Keys.next(c.Random, int(s.keys.visible.Load()))
		if number < s.plan.Keys {
			return s.getKey(getter, number)
		}
		// The newest may be in flight still (see keyspace.acknowledge).
		_, _, err := getter.Get(dataGroup, s.keys.name(number))
		return Read, err
	}}, nil
}

func (s *session) shortRanges() (*work, error) {
	scanner := s.target.(Scanner)
	return &work{step: func(c *Caller) (Kind, error) {
		if c.Random.IntN(100) < 5 {
			return s.insert(c)
		}
		number := c.Keys.next(c.Random, int(s.keys.visible.Load()))
		n, err := scanner.Scan(dataGroup, s.keys.name(number), 1+c.Random.IntN(ycsbMaxScan))
		if err == nil && n == 0 && number < s.plan.Keys {
			err = fmt.Errorf("bench: a scan from %s on found nothing, not even that key", s.keys.name(number))
		}
		return Scan, err
	}}, nil
}

func (s *session) readModifyWrite() (*work, error) {
	getter := s.target.(Getter)
	return &work{step: func(c *Caller) (Kind, error) {
		number := c.Keys.next(c.Random, s.plan.Keys)
		if kind, err := s.getKey(getter, number); err != nil || c.Random.IntN(100) < 50 {
			return kind, err
		}
		return s.setKey(c, number)
	}}, nil
}
