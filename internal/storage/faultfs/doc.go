// Package faultfs is a file system between the store and the real one, for tests alone:
// any call of SQLite's, and any that the store makes by itself (package disk), can fail,
// do half of what was asked, or be written down with its data. From what was written down
// a power cut can be played at any moment: see Recording.
//
// SQLite's part is a copy of its default VFS with some calls replaced, registered as the
// default one of the test binary; the store's part intercepts package disk. The code under
// test needs no hook and knows nothing of it.
//
// It models what POSIX promises and no more: what was written to a file is there after a
// power cut once the file was synced, a name in a folder once the folder was. Of
// everything else any part may be there, in any order, by sectors of 512 bytes.
package faultfs
