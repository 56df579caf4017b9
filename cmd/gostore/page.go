package main

import (
	"encoding/base64"

	"github.com/spf13/cobra"
)

// page is the part of a listing that is wanted.
type page struct {
	limit          int
	after, after64 string
	name           string // of what is listed

	behind    string // what is not behind this is skipped, if begins
	begins    bool
	remaining int // how many are still wanted, if limited
	limited   bool
}

// flags gives a command the flags of a page.
func (p *page) flags(command *cobra.Command, name string) {
	p.name = name
	set := command.Flags()
	set.IntVar(&p.limit, "limit", 0, "print at most `N` of them")
	set.StringVar(&p.after, "after", "", "begin behind this `"+name+"`, whether it is there or not")
	set.StringVar(&p.after64, "after64", "", "the same in `BASE64`, for bytes that no command line carries")
}

// begin checks the flags as they were given.
func (p *page) begin(command *cobra.Command) error {
	given := command.Flags().Changed
	if given("limit") && p.limit < 1 {
		return misuse("--limit %d: use at least 1, or leave it out", p.limit)
	}
	if given("after") && given("after64") {
		return misuse("give either --after or --after64")
	}
	p.limited, p.remaining = given("limit"), p.limit
	p.begins, p.behind = given("after"), p.after
	if given("after64") {
		behind, err := base64.StdEncoding.DecodeString(p.after64)
		if err != nil {
			return misuse("--after64 %q: that is not base64", p.after64)
		}
		p.begins, p.behind = true, string(behind)
	}
	return nil
}

// wants reports whether the next name is in the page; done, that none behind it
// will be.
func (p *page) wants(name string) (wanted, done bool) {
	if p.begins && name <= p.behind {
		return false, false
	}
	if !p.limited {
		return true, false
	}
	p.remaining--
	return true, p.remaining == 0
}
