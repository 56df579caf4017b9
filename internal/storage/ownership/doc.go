// Package ownership says whose a database file is: what a name leads to and what lies
// beside it (Resolve, CheckSidecars), which process owns it (Lock, Inode), whether it is still what
// was opened (Guard), and what may take a whole database's place (Target).
//
// It knows names, locks and the first bytes of files. It never opens a file through SQLite,
// and knows neither tables nor what is committed: what it has to be told of that, how many
// frames a WAL must have and what a database is recognised by, its callers give it as
// functions.
package ownership
