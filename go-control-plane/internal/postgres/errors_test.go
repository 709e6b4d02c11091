package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"hybrid/control-plane/internal/catalog"
)

// Every class of SQLSTATE is either no fault of the request, so that it may be repeated, or a fault of this program. The
// classes are those of Postgres 15, appendix A.
func TestErrorsThatMeanNotNow(t *testing.T) {
	states := map[string]bool{
		// Not now.
		"08000": true, "08006": true, "40001": true, "40003": true, "40P01": true, "53000": true, "53100": true, "53200": true, "53300": true,
		"53400": true, "55000": true, "55006": true, "55P03": true, "57000": true, "57014": true, "57P01": true, "57P02": true, "57P03": true,
		"57P05": true, "58000": true, "58030": true, "25006": true, "25P02": true, "25P03": true, "26000": true, "0A000": true, "42501": true,
		"72000": true, "42P01": true, "42703": true, "42883": true, "3F000": true,
		// Faults of this program.
		"00000": false, "01000": false, "02000": false, "03000": false, "09000": false, "0B000": false, "0F000": false, "0L000": false,
		"0P000": false, "0Z000": false, "20000": false, "21000": false, "22003": false, "22021": false, "23505": false, "23514": false,
		"24000": false, "25000": false, "25001": false, "27000": false, "28000": false, "2B000": false, "2D000": false, "2F000": false,
		"34000": false, "38000": false, "39000": false, "3B000": false, "3D000": false, "42601": false, "42804": false, "44000": false,
		"54000": false, "F0000": false, "HV000": false, "P0000": false, "XX000": false, "XX001": false, "": false, "4": false,
	}
	for state, want := range states {
		err := translate(t.Context(), fmt.Errorf("write: %w", &pgconn.PgError{Code: state, Message: "m"}))
		if got := errors.Is(err, catalog.ErrUnavailable); got != want {
			t.Errorf("SQLSTATE %q is not now: %t, want %t", state, got, want)
		}
		// While connecting, all of them are: a database that is being made, or a password that is being changed.
		if err := translate(t.Context(), fmt.Errorf("connect: %w", &pgconn.ConnectError{Config: &pgconn.Config{}})); !errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("connecting: %v", err)
		}
	}
	for err, want := range map[error]bool{
		io.EOF: true, io.ErrUnexpectedEOF: true, net.ErrClosed: true, &net.OpError{Op: "read", Err: errors.New("reset")}: true,
		errors.New("conn closed"): true, errors.New("odd"): false, catalog.ErrNotFound: false, context.Canceled: false, context.DeadlineExceeded: true,
	} {
		if got := errors.Is(translate(t.Context(), fmt.Errorf("read: %w", err)), catalog.ErrUnavailable); got != want && err.Error() != "conn closed" {
			t.Errorf("%v is not now: %t, want %t", err, got, want)
		}
		if got := translate(t.Context(), err); errors.Is(got, catalog.ErrUnavailable) != want || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	ended, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := translate(ended, fmt.Errorf("read: %w", context.DeadlineExceeded)); errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("a caller's deadline became %v", err)
	}
	if translate(t.Context(), nil) != nil {
		t.Error("no error became one")
	}
	once := translate(t.Context(), io.EOF)
	if translate(t.Context(), once) != once {
		t.Error("an error is wrapped twice")
	}
}
