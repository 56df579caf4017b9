package main

import "forge.lthn.ai/core/go-store/bench"

// visitor visits a group's keys from the first that is not less than from, in
// order, until visit returns false. What it visits is of use within visit only.
type visitor[T ~string | ~[]byte] func(group, from string, visit func(key, value T) bool) error

func (v visitor[T]) getAll(group string) (map[string]string, error) {
	all := make(map[string]string)
	err := v(group, "", func(key, value T) bool {
		all[string(key)] = string(value)
		return true
	})
	return all, err
}

// page is how many keys there are behind offset, limit at most.
func (v visitor[T]) page(group, from string, offset, limit int) (int, error) {
	page := make([]bench.Item, 0, limit)
	err := v(group, from, func(key, value T) bool {
		if offset > 0 {
			offset--
			return true
		}
		page = append(page, bench.Item{Key: string(key), Value: string(value)})
		return len(page) < limit
	})
	return len(page), err
}
