//go:build !planted_quota_kept

package planted

// QuotaKept: what a refused request has booked to its namespace stays booked.
const QuotaKept = false
