package demo

import (
	"fmt"
	"sync"
)

// findings are the promises that the store broke.
type findings struct {
	mu struct {
		sync.Mutex
		first []string // the first few; a store that breaks one often breaks thousands
		count int
	}
}

func (f *findings) add(format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.count++
	if len(f.mu.first) < 10 {
		f.mu.first = append(f.mu.first, fmt.Sprintf(format, arguments...))
	}
}

// failure is the first call that failed.
type failure struct {
	mu struct {
		sync.Mutex
		err error
	}
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.err == nil {
		f.mu.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.err
}
