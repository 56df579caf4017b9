// Package mapped has files in memory, shared with all processes that have them open, or reads
// them with calls of the system where they can't be mapped. To look at memory whose file was
// cut is a fault, of which the caller makes an error.
package mapped
