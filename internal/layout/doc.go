// Package layout proves which package of go-store may import which. It has
// nothing but the test: see layout_test.go for the rules.
package layout
