// Package postgrestest starts PostgreSQL servers for tests, from the binaries of the machine. It works on Unix only: elsewhere
// there are no process groups.
package postgrestest
