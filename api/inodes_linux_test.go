package api_test

// ownsInodes: a file is owned, whatever its names.
const ownsInodes = true
