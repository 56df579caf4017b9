// Package services holds the data set of the demo: the service names and port
// numbers registered at IANA. See README.md for where it comes from.
package services

import (
	_ "embed"
	"iter"
	"strings"
)

//go:generate ./generate.sh

//go:embed services.tsv
var table string

// Service is one assigned port. A protocol and a port identify it.
type Service struct {
	Protocol    string // tcp, udp, sctp or dccp
	Port        string // a number, or a range such as 6000-6063
	Name        string
	Description string // empty for one in eight
}

// All yields every service in the order of the table.
func All() iter.Seq[Service] {
	return func(yield func(Service) bool) {
		for line := range strings.Lines(table) {
			field := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 4)
			if !yield(Service{field[0], field[1], field[2], field[3]}) {
				return
			}
		}
	}
}
