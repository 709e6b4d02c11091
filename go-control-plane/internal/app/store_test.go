//go:build unix

package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jackc/pgx/v5"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/readiness"
)

// toldWithin is how soon what keeps a control plane from its work is told, and a call that needs it is answered.
const toldWithin = 10 * time.Second

// A Postgres that stands still with all its connections open, and one to which the link is gone without a sign, are told within ten
// seconds. Calls are refused in time, and all goes on by itself when the cause is gone.
func TestAStoreThatDoesNotAnswerIsTold(t *testing.T) {
	broker := kafkatest.Start(t)
	for name, begin := range map[string]func(*testing.T) (uri string, hang, heal func()){
		"paused": func(t *testing.T) (string, func(), func()) {
			server, uri := postgrestest.Start(t)
			return uri, func() { server.Pause(t) }, server.Resume
		},
		"half-open": func(t *testing.T) (string, func(), func()) {
			way := newLink(t, postgrestest.Database(t))
			return way.uri, way.cut, way.mend
		},
	} {
		t.Run(name, func(t *testing.T) {
			uri, hang, heal := begin(t)
			r := run(t, config.Config{Postgres: uri, Kafka: []string{broker.Address}})
			eventually(t, "ready", func() bool { return r.ready(t) })
			items := catalogv1.NewCatalogServiceClient(r.conn)
			if _, err := items.CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item("mug", 1050)}); err != nil {
				t.Fatal(err)
			}
			calls := map[string]func() error{
				"read": func() error { return second(items.GetItem(t.Context(), &catalogv1.GetItemRequest{Sku: "mug"})) },
				"list": func() error { return second(items.ListItems(t.Context(), &catalogv1.ListItemsRequest{})) },
				"create": func() error {
					return second(items.CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item("pen", 5)}))
				},
				"totals": func() error {
					return second(usagev1.NewLedgerServiceClient(r.conn).GetTotals(t.Context(), &usagev1.GetTotalsRequest{}))
				},
			}
			hang()
			hung := time.Now()
			var wait sync.WaitGroup
			for what, call := range calls {
				wait.Go(func() {
					if err := call(); status.Code(err) != codes.Unavailable || time.Since(hung) > toldWithin {
						t.Errorf("%s: %v after %v", what, err, time.Since(hung))
					}
				})
			}
			wait.Go(func() {
				answer, err := http.Get(r.http + "/v1/items/mug")
				if err != nil || answer.StatusCode != http.StatusServiceUnavailable || time.Since(hung) > toldWithin {
					t.Errorf("over HTTP: %v, %v after %v", answer, err, time.Since(hung))
				}
			})
			eventually(t, "it is told", func() bool { return !r.ready(t) })
			if took := time.Since(hung); took > toldWithin {
				t.Errorf("it took %v", took)
			}
			if task := r.task(t, taskWrites); task.Status != readiness.Pending || task.Detail == "" {
				t.Errorf("the task is %+v", task)
			}
			wait.Wait()
			heal()
			healed := time.Now()
			eventually(t, "ready again", func() bool { return r.ready(t) })
			for what, call := range calls {
				eventually(t, what+" is answered again", func() bool {
					code := status.Code(call())
					return code == codes.OK || code == codes.AlreadyExists
				})
			}
			eventually(t, "nothing waits in the outbox", func() bool { return r.plane.relay.Lag() == 0 && r.plane.relay.Published() == 2 })
			t.Logf("well after %v", time.Since(healed))
		})
	}
}

// A server that takes no more connections is told, with its reason, and the control plane is ready again when it takes them.
func TestTooManyConnectionsAreTold(t *testing.T) {
	broker := kafkatest.Start(t)
	uri := postgrestest.Database(t)
	admin, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	var database string
	if err := admin.QueryRow(t.Context(), `SELECT current_database()`).Scan(&database); err != nil {
		t.Fatal(err)
	}
	execute := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := admin.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	// The limit does not hold for a superuser.
	role := "role_" + database
	execute(`CREATE ROLE `+role+` LOGIN`, `ALTER DATABASE `+database+` OWNER TO `+role, `ALTER SCHEMA public OWNER TO `+role)
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	parsed.User = url.User(role)
	r := run(t, config.Config{Postgres: parsed.String(), Kafka: []string{broker.Address}})
	eventually(t, "ready", func() bool { return r.ready(t) })
	execute(`ALTER ROLE `+role+` CONNECTION LIMIT 0`, fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s'`, role))
	limited := time.Now()
	eventually(t, "it is told", func() bool {
		return !r.ready(t) && strings.Contains(r.task(t, taskWrites).Detail, "too many connections")
	})
	if took := time.Since(limited); took > toldWithin {
		t.Errorf("it took %v", took)
	}
	if _, err := catalogv1.NewCatalogServiceClient(r.conn).GetItem(t.Context(), &catalogv1.GetItemRequest{Sku: "mug"}); status.Code(err) != codes.Unavailable {
		t.Errorf("read: %v", err)
	}
	execute(`ALTER ROLE ` + role + ` CONNECTION LIMIT -1`)
	eventually(t, "ready again", func() bool { return r.ready(t) })
}

func second[T any](_ T, err error) error { return err }

// task returns what readiness tells of a task.
func (r *running) task(t *testing.T, name string) readiness.Task {
	t.Helper()
	var report readiness.Report
	r.get(t, "/readyz", &report)
	for _, task := range report.Tasks {
		if task.Name == name {
			return task
		}
	}
	t.Fatalf("there is no task %s", name)
	return readiness.Task{}
}

// link is a way to a server that can be cut so that neither end hears of it: what is sent is taken, and leads nowhere.
type link struct {
	uri, to string
	mu      sync.Mutex
	// gone is closed when the connections that are open are cut. While the link is cut, those that begin are too.
	gone chan struct{}
}

func newLink(t *testing.T, server string) *link {
	t.Helper()
	parsed, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{to: parsed.Host, gone: make(chan struct{})}
	parsed.Host = listener.Addr().String()
	l.uri = parsed.String()
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			gone := l.gone
			l.mu.Unlock()
			work.Go(func() { l.pass(c, gone) })
		}
	})
	t.Cleanup(func() { listener.Close(); work.Wait() })
	return l
}

// cut lets all that is open, and all that begins before mend, lead nowhere for good.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.gone)
}

// mend lets new connections lead to the server.
func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = make(chan struct{})
}

func (l *link) pass(client net.Conn, gone <-chan struct{}) {
	defer client.Close()
	server, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		forward(client, server, gone)
		client.Close()
	}()
	forward(server, client, gone)
	server.Close()
	<-answered
}

// forward copies until one end is closed. After gone it copies to nowhere.
func forward(to io.Writer, from io.Reader, gone <-chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-gone:
		default:
			if _, failed := to.Write(buffer[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
