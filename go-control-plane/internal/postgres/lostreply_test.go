//go:build unix

package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
)

// deaf is a way to a server on which, once armed, the answer to the next COMMIT is lost with its connection.
type deaf struct {
	armed atomic.Bool
	uri   string
}

func newDeaf(t *testing.T, server string) *deaf {
	t.Helper()
	parsed, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	to := parsed.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	parsed.Host = listener.Addr().String()
	d := &deaf{uri: parsed.String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go d.pass(client, to)
		}
	}()
	return d
}

func (d *deaf) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, client)
		server.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) && d.armed.CompareAndSwap(true, false) {
			return
		}
		if _, failed := client.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

// An update or a deletion whose commit was not heard of can be repeated, and is done once.
func TestALostCommitCanBeRepeated(t *testing.T) {
	way := newDeaf(t, postgrestest.Database(t))
	pool, err := postgres.Open(t.Context(), way.uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	items := postgres.Items(pool, pool, announce)
	created, err := items.Create(t.Context(), mug(1), "")
	if err != nil {
		t.Fatal(err)
	}
	change := created
	change.UnitPrice.Minor = 2
	way.armed.Store(true)
	if _, err := items.Update(t.Context(), change); !errors.Is(err, catalog.ErrUnavailable) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	updated, err := items.Update(t.Context(), change)
	if err != nil || updated.Version != 3 || updated.UnitPrice.Minor != 2 {
		t.Errorf("%+v, %v", updated, err)
	}
	if n := count(t, pool, "catalog_change"); n != 2 {
		t.Errorf("%d changes, want 2", n)
	}
	way.armed.Store(true)
	if err := items.Delete(t.Context(), "mug", 3); !errors.Is(err, catalog.ErrUnavailable) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	if err := items.Delete(t.Context(), "mug", 3); err != nil {
		t.Errorf("repeated: %v", err)
	}
	if n := count(t, pool, "catalog_change"); n != 3 {
		t.Errorf("%d changes, want 3", n)
	}
	// It is that deletion, not another one, and not one of what is there again.
	if err := items.Delete(t.Context(), "mug", 2); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("of another version: %v", err)
	}
	if _, err := items.Create(t.Context(), mug(1), ""); err != nil {
		t.Fatal(err)
	}
	if err := items.Delete(t.Context(), "mug", 3); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("of what is there again: %v", err)
	}
}
