package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"hybrid/control-plane/internal/catalog"
)

// notNow has the classes of SQLSTATE that say nothing about the request: the same may succeed later.
var notNow = map[string]bool{
	"08": true, // connection exception
	"40": true, // transaction rollback: serialization failure, deadlock
	"53": true, // insufficient resources: disk full, out of memory, too many connections
	"55": true, // object not in prerequisite state: lock timeout, in use, in recovery
	"57": true, // operator intervention: shutdown, statement timeout
	"58": true, // system error: input and output
}

// notNowStates has single states that are not now, of classes that are otherwise faults of this program.
var notNowStates = map[string]bool{
	"25006": true, // the server, or the session, is read-only
	"25P02": true, // the transaction has failed before
	"25P03": true, // the session was idle in a transaction for too long
	"26000": true, // a prepared statement is gone, as behind a pooler
	"0A000": true, // a cached plan does not fit the changed schema
	"42501": true, // a privilege is missing
	"72000": true, // the snapshot is too old
}

// noSchema has the states that say that the schema is not the one of this program: not there yet, or that of an older dump.
var noSchema = map[string]bool{
	"42P01": true, // undefined table
	"42703": true, // undefined column
	"42883": true, // undefined function
	"3F000": true, // undefined schema
}

// translate wraps failures of the server, or of the connection to it, in catalog.ErrUnavailable, and returns other errors
// unchanged. A deadline is such a failure if it is not that of ctx, but one that the server was given.
func translate(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, catalog.ErrUnavailable):
		return err
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded), unavailable(err):
		return fmt.Errorf("%w: %w", catalog.ErrUnavailable, err)
	default:
		return err
	}
}

func unavailable(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return len(server.Code) == 5 && (notNow[server.Code[:2]] || notNowStates[server.Code] || noSchema[server.Code])
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || err.Error() == "conn closed"
}

// SchemaMissing reports whether err says that the schema has to be migrated.
func SchemaMissing(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && noSchema[server.Code]
}

// leadsAstray reports whether a session with this state is to be closed, because a new one may fare better: a server that became
// read-only may no longer be the one that the name leads to.
func leadsAstray(state string) bool {
	return state == "25006" || state == "55000" || state == "0A000" || state == "26000"
}
