//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"hybrid/control-plane/internal/telemetrytest"
)

// underTest makes this test binary the program itself.
const underTest = "CONTROL_PLANE_UNDER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(underTest) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// program is a running control plane. Nothing answers at its Postgres and Kafka.
type program struct {
	command *exec.Cmd
	// ended is closed when the process has ended and all its output is read.
	ended chan struct{}

	mu     sync.Mutex
	stderr strings.Builder
}

func startProgram(t *testing.T, environment ...string) *program {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{command: exec.Command(executable), ended: make(chan struct{})}
	p.command.Env = append([]string{underTest + "=1", "HTTP_PORT=0", "GRPC_PORT=0",
		"ConnectionStrings__hybriddb=postgresql://u:hunter2@127.0.0.1:1/x", "ConnectionStrings__kafka=127.0.0.1:1"}, environment...)
	stderr, err := p.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.command.Process.Kill()
		<-p.ended
	})
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.stderr.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
		p.command.Wait()
	}()
	return p
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// line waits for a line that matches, and returns its groups.
func (p *program) line(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	deadline := time.Now().Add(30 * time.Second)
	for {
		if found := expression.FindStringSubmatch(p.output()); found != nil {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("no line like %s in\n%s", pattern, p.output())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *program) http(t *testing.T) string {
	t.Helper()
	return p.line(t, `msg=listening http=(\S+)`)[1]
}

func (p *program) signal(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// state waits for the end of the process.
func (p *program) state(t *testing.T) *os.ProcessState {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("the process does not end:\n%s", p.output())
	}
	return p.command.ProcessState
}

func TestRefusedSettings(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for setting, part := range map[string]string{
		"ConnectionStrings__hybriddb=":                                               "ConnectionStrings__hybriddb",
		"ConnectionStrings__hybriddb=postgresql://u:hunter2@db/x?sslmode=bogus":      "ConnectionStrings__hybriddb",
		"ConnectionStrings__hybriddb=postgresql://u:hunter2@db/x?connect_timeout=no": "ConnectionStrings__hybriddb",
		"ConnectionStrings__kafka=nowhere":                                           "ConnectionStrings__kafka",
		"HYBRID_KAFKA_STAND_IN=perhaps":                                              "HYBRID_KAFKA_STAND_IN",
		"LOG_LEVEL=loud":                                                             "LOG_LEVEL",
		"HTTP_PORT=" + port:                                                          "HTTP_PORT",
		"GRPC_PORT=" + port:                                                          "GRPC_PORT",
		"GRPC_PORT=65536":                                                            "GRPC_PORT",
		"BIND_ADDRESS=192.0.2.1":                                                     "BIND_ADDRESS",
	} {
		t.Run(setting, func(t *testing.T) {
			p := startProgram(t, setting, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
			code := p.state(t).ExitCode()
			text := p.output()
			if code != 2 || strings.Count(text, "\n") != 1 || !strings.Contains(text, part) || strings.Contains(text, "hunter2") {
				t.Errorf("exit code %d:\n%s", code, text)
			}
		})
	}
}

// After a signal the program drains, sends what is left of the telemetry, and ends with 0. The collector has a certificate of
// an authority that only these variables name, and wants a key.
func TestSignalEndsTheProgram(t *testing.T) {
	certificate, authority := telemetrytest.Certificate(t)
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_CERTIFICATE", "SSL_CERT_FILE"} {
		t.Run(variable, func(t *testing.T) {
			collector := telemetrytest.Start(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}})))
			p := startProgram(t, "OTEL_EXPORTER_OTLP_ENDPOINT=https://"+collector.Address, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
				"OTEL_EXPORTER_OTLP_HEADERS=x-otlp-api-key=key", "OTEL_SERVICE_NAME=cp", variable+"="+authority)
			response, err := http.Get("http://" + p.http(t) + "/v1/items/mug")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			p.signal(t)
			if code := p.state(t).ExitCode(); code != 0 {
				t.Errorf("exit code %d:\n%s", code, p.output())
			}
			r := collector.Received()
			if r.Span("GET /v1/items/{sku}") == nil || r.Log("drained") == nil || r.Metric("http.server.request.duration") == nil || r.Metric("hybrid.telemetry.lines.dropped") == nil {
				t.Errorf("%d spans, %d log records, %d metrics arrived", len(r.Spans), len(r.Logs), len(r.Metrics))
			}
			for i, h := range r.Headers {
				if fmt.Sprint(h.Get("x-otlp-api-key")) != "[key]" || telemetrytest.Attribute(r.Resources[i].GetAttributes(), "service.name") != "cp" {
					t.Errorf("%v from %v", h, r.Resources[i])
				}
			}
		})
	}
}

func TestAnotherAuthorityIsAWarning(t *testing.T) {
	certificate, _ := telemetrytest.Certificate(t)
	collector := telemetrytest.Start(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}})))
	p := startProgram(t, "OTEL_EXPORTER_OTLP_ENDPOINT=https://"+collector.Address, "OTEL_EXPORTER_OTLP_TIMEOUT=2000", "OTEL_METRIC_EXPORT_INTERVAL=50")
	p.http(t)
	p.line(t, `level=WARN msg="telemetry cannot be exported[^\n]*certificate`)
	p.signal(t)
	if code := p.state(t).ExitCode(); code != 0 || len(collector.Received().Headers) != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	if n := strings.Count(p.output(), "telemetry"); n != 1 {
		t.Errorf("%d lines about telemetry:\n%s", n, p.output())
	}
}

// Postgres is away: the program serves, says so once, and counts its attempts.
func TestOutageIsReportedOnce(t *testing.T) {
	collector := telemetrytest.Start(t, "127.0.0.1:0")
	p := startProgram(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+collector.Address, "OTEL_METRIC_EXPORT_INTERVAL=20")
	p.http(t)
	attempts := func() int64 {
		points := collector.Received().Metric("hybrid.retries").GetSum().GetDataPoints()
		if len(points) != 1 || telemetrytest.Attribute(points[0].GetAttributes(), "hybrid.work") != "database migration" {
			return 0
		}
		return points[0].GetAsInt()
	}
	for deadline := time.Now().Add(30 * time.Second); attempts() < 5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d attempts:\n%s", attempts(), p.output())
		}
	}
	if text := p.output(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "database migration failed") {
		t.Errorf("lines:\n%s", text)
	}
}

// unread is a pipe that has no room for another byte until somebody reads it.
func unread(t *testing.T) (reader, writer *os.File, length int) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	for _, chunk := range [][]byte{make([]byte, 4096), {0}} {
		for {
			if err := writer.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := writer.Write(chunk)
			length += n
			if err != nil {
				break
			}
		}
	}
	return reader, writer, length
}

// Nobody reads standard error: the program serves all the same, and ends. All its lines are there for who reads in the end.
func TestNobodyReadsTheLines(t *testing.T) {
	for name, reads := range map[string]bool{"ever": false, "until the end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, writer, length := unread(t)
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := free.Addr().String()
			_, port, _ := net.SplitHostPort(address)
			free.Close()
			executable, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			command := exec.Command(executable)
			command.Env = []string{underTest + "=1", "HTTP_PORT=" + port, "GRPC_PORT=0",
				"ConnectionStrings__hybriddb=postgresql://u:hunter2@127.0.0.1:1/x", "ConnectionStrings__kafka=127.0.0.1:1"}
			command.Stderr = writer
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			writer.Close()
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			t.Cleanup(func() { command.Process.Kill() })
			client := http.Client{Timeout: time.Second}
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				response, err := client.Get("http://" + address + "/livez")
				if err == nil {
					response.Body.Close()
					break
				}
				if time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
			if err := command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			var lines []byte
			if reads {
				select {
				case err := <-ended:
					t.Fatalf("the program does not wait for its last lines: %v", err)
				case <-time.After(time.Second):
				}
				if lines, err = io.ReadAll(reader); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the program does not end")
			}
			if reads && (!strings.Contains(string(lines[length:]), "msg=listening") || !strings.HasSuffix(string(lines), "msg=drained\n")) {
				t.Errorf("read at the end:\n%s", lines[length:])
			}
		})
	}
}

// A call that does not end holds up the drain; a second signal does not wait for it.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startProgram(t)
	conn, err := net.Dial("tcp", p.http(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The rest of the body never comes.
	fmt.Fprint(conn, "POST /v1/items HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(answer, "100 Continue") {
		t.Fatalf("%q, %v", answer, err)
	}
	p.signal(t)
	p.line(t, "msg=draining")
	// The first of these may come before the handler of the first signal is removed.
	for ended := false; !ended; {
		p.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	status := p.state(t).Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGTERM || strings.Contains(p.output(), "msg=drained") {
		t.Errorf("%v:\n%s", p.state(t), p.output())
	}
}
