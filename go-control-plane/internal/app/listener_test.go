package app

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/snapshot"
)

const (
	preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	// headers of 32 bytes that do not end, of which one is sent.
	halfHead = "\x00\x00\x20\x01\x00\x00\x00\x00\x01\x83"
)

// letGo reports whether the server closes the connection before the deadline.
func letGo(c net.Conn, deadline time.Time) bool {
	c.SetReadDeadline(deadline)
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func silent(t *testing.T, address net.Addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSilentCallersAreLetGo(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	var refused atomic.Int64
	open := func() net.Listener {
		l, err := listen("127.0.0.1:0", config.HTTPPortVariable, maxConnections, &refused)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	httpListener, grpcListener := open(), open()
	httpServer := newHTTPServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), log)
	go httpServer.Serve(httpListener)
	t.Cleanup(func() { httpServer.Close() })
	grpcServer, _ := grpcapi.NewServer(grpcapi.Services{
		Catalog: &grpcapi.Catalog{}, Snapshot: &grpcapi.Snapshot{Publisher: snapshot.NewPublisher(contract.UpdateEncoder{})},
		Fleet: &grpcapi.Fleet{Registry: fleet.NewRegistry(time.Now)}, Ledger: &grpcapi.Ledger{},
	}, log)
	go grpcServer.Serve(grpcListener)
	t.Cleanup(grpcServer.Stop)

	until := time.Now().Add(time.Minute)
	for what, c := range map[string]net.Conn{
		"http: nothing":             silent(t, httpListener.Addr(), ""),
		"http: half a head":         silent(t, httpListener.Addr(), "POST /items HTTP/1.1\r\nHost: x\r\n"),
		"http: half a body":         silent(t, httpListener.Addr(), "POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"),
		"http: an answered request": silent(t, httpListener.Addr(), "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
		"grpc: nothing":             silent(t, grpcListener.Addr(), ""),
		"grpc: half a preface":      silent(t, grpcListener.Addr(), preface[:9]),
		"grpc: settings":            silent(t, grpcListener.Addr(), preface+settings),
		"grpc: half a head":         silent(t, grpcListener.Addr(), preface+settings+halfHead),
	} {
		if !letGo(c, until) {
			t.Errorf("%s: is open after a minute", what)
		}
	}
}

// A caller that asks for more than the connection holds, and does not read it, is let go, and what serves it goes on.
func TestACallerThatDoesNotReadIsLetGo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		part := make([]byte, 1<<20)
		for range 1_000 {
			if _, err := w.Write(part); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}), slog.New(slog.DiscardHandler))
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	silent(t, l.Addr(), "GET /v1/items HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("all was sent")
		}
	case <-time.After(time.Minute):
		t.Error("is waited for after a minute")
	}
}

func TestConnectionsBeyondTheLimitAreClosedAndCounted(t *testing.T) {
	var refused atomic.Int64
	l, err := listen("127.0.0.1:0", config.HTTPPortVariable, 2, &refused)
	if err != nil {
		t.Fatal(err)
	}
	server := newHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	// They are accepted in the order in which they connect.
	first := silent(t, l.Addr(), "")
	silent(t, l.Addr(), "")
	if third := silent(t, l.Addr(), ""); !letGo(third, time.Now().Add(30*time.Second)) || refused.Load() != 1 {
		t.Fatalf("the third is open, %d were refused", refused.Load())
	}
	first.Close()
	for until := time.Now().Add(30 * time.Second); ; {
		if answer, err := http.Get("http://" + l.Addr().String()); err == nil {
			answer.Body.Close()
			break
		}
		if time.Now().After(until) {
			t.Fatal("no place became free")
		}
	}
}
