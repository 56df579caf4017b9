// Package commitlog is the format of the log's records: what one group commit
// did, self-contained, so that the same bytes can be stored, followed and
// shipped.
//
// A record holds effects, never what led to them: no conditions, no clock
// readings, no increments. Applied in order to the state before it, it gives
// the state after it, on any machine and at any time.
//
// The package reads and writes bytes. It keeps nothing and stores nothing.
//
// # The format, version 1
//
// All fixed numbers are little-endian, lengths are uvarints.
//
//	offset  size
//	0       1     version: 1
//	1       1     unit of the time: 0 nanoseconds, 1 microseconds (outside the years 1678 to 2261)
//	2       2     zero
//	4       4     number of effects
//	8       8     first revision
//	16      8     last revision
//	24      8     time of the commit in that unit since 1970, signed
//	32            the effects
//	end-4   4     CRC-32C of everything before it
//
// An effect is one byte of flags, then the fields that the flags call for:
//
//	bits 0-2  what: 0 set, 1 delete, 2 delete group, 3 expire
//	bit 3     first effect of the next revision (never of the first one)
//	bit 4     same group as the effect before it: no group follows
//	bit 5     a deadline follows the value: 8 bytes, Unix milliseconds, signed
//	bits 6-7  zero
//
//	group     length and bytes, unless bit 4
//	key       length and bytes, unless delete group
//	value     length and bytes, for set and expire
//	deadline  if bit 5
//
// Every revision from the first to the last has at least one effect. No group is
// deleted right behind its deletion.
package commitlog
