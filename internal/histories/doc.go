// Package histories judges what many callers at once were answered: whether one order
// of their transactions explains it all, and agrees with the order in which they were
// called and returned.
//
// The store is in another process, which is killed and started again within a history;
// a call that it did not answer has happened or not. The package owns no code outside
// its tests.
package histories
