// Package mapped has files in memory, shared with everybody who has them open, or reads
// them with calls of the system where they can't be mapped. To look at memory whose file was
// cut is a fault: who looks makes an error of it.
package mapped
