//go:build unix

package postgrestest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server with its own data directory.
type Server struct {
	bin, dir string
	port     int
	as       *syscall.Credential
	process  *exec.Cmd
	exited   chan struct{}
	paused   bool
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Run runs the tests of a package and stops the server that they share. It is to be called by TestMain.
func Run(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	return code
}

// Database creates an empty database on the server that the tests of a package share, and returns its URI. It skips the test
// if the machine has no PostgreSQL.
func Database(t testing.TB) string {
	t.Helper()
	bin := binaries(t)
	shared.once.Do(func() { shared.server, shared.err = start(bin) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.database(t)
}

// Start starts a server that the test may kill, and stops it with the test. It skips the test if the machine has no
// PostgreSQL.
func Start(t testing.TB) (*Server, string) {
	t.Helper()
	server, err := start(binaries(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.remove)
	return server, server.database(t)
}

// Kill ends the server with SIGKILL. The processes of its connections then end by themselves.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.kill()
}

// Pause stops the server and the processes of its connections as SIGSTOP does: they answer nothing, and their connections stay. It
// needs Linux, and skips the test elsewhere. Resume lets them go on.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("/proc is needed to find the processes of a server")
	}
	s.paused = true
	s.signal(syscall.SIGSTOP)
}

// Resume lets the server go on after Pause.
func (s *Server) Resume() {
	s.paused = false
	s.signal(syscall.SIGCONT)
}

// signal reaches the server first, which then begins no more processes, and then those that it has begun. Each of them has a process
// group of its own.
func (s *Server) signal(signal syscall.Signal) {
	server := s.process.Process.Pid
	syscall.Kill(server, signal)
	processes, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range processes {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// The name is in brackets, and the state and the parent follow it.
		after := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if parent, err := strconv.Atoi(after[1]); err != nil || parent != server {
			continue
		}
		if process, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			syscall.Kill(process, signal)
		}
	}
}

// Restart starts the server again on the same port and data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	// The server refuses to start while remaining processes of the killed one hold its shared memory.
	var err error
	for range 10 {
		if err = s.run(); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal(err)
}

// Recover starts a killed server again by a recovery from its log, after which it is on another timeline, as after a failover or a
// recovery to a point in time. Nothing is lost.
func (s *Server) Recover(t testing.TB) {
	t.Helper()
	signal := filepath.Join(s.data(), "recovery.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.as != nil {
		if err := os.Chown(signal, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := os.OpenFile(filepath.Join(s.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer settings.Close()
	// No log is archived anywhere: the recovery reads the one that the server has.
	if _, err := settings.WriteString("restore_command = 'false'\n"); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.uri("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for recovering := true; recovering; {
		if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&recovering); err != nil {
			t.Fatal(err)
		}
	}
}

// binaries returns the folder of initdb and postgres.
func binaries(t testing.TB) string {
	t.Helper()
	var folders []string
	if dir := os.Getenv("HYBRID_POSTGRES_BIN"); dir != "" {
		folders = append(folders, dir)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(installed)
	for _, dir := range append(folders, installed...) {
		if runnable(filepath.Join(dir, "initdb")) && runnable(filepath.Join(dir, "postgres")) {
			return dir
		}
	}
	t.Skip("PostgreSQL is needed and not found: set HYBRID_POSTGRES_BIN to the folder of initdb and postgres")
	return ""
}

func runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

func start(bin string) (*Server, error) {
	dir, err := os.MkdirTemp("", "hybrid-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	if os.Geteuid() == 0 {
		// The server refuses to run as root.
		if s.as, err = plainUser(); err == nil {
			err = os.Chown(dir, int(s.as.Uid), int(s.as.Gid))
		}
	}
	if err == nil {
		err = s.initialize()
	}
	if err == nil {
		err = s.run()
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func plainUser() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initialize() error {
	c := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	s.port = listener.Addr().(*net.TCPAddr).Port
	return nil
}

func (s *Server) run() error {
	c := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", "-c", "max_connections=50")
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return err
	}
	s.process, s.exited = c, make(chan struct{})
	exited := s.exited
	go func() { c.Wait(); close(exited) }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.uri("postgres"))
		if err == nil {
			conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("postgres does not answer: %w\n%s", err, out)
		}
		select {
		case <-exited:
			out, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("postgres has ended\n%s", out)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	// Its own process group, so that all its processes can be killed.
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return c
}

func (s *Server) uri(database string) string {
	return fmt.Sprintf("postgresql://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

func (s *Server) database(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.uri("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	name := "test_" + uuid.NewString()[:8]
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.uri(name)
}

func (s *Server) kill() {
	if s.process == nil {
		return
	}
	if s.paused {
		// What stands still would not notice the end of the server.
		s.Resume()
	}
	syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
	<-s.exited
	s.process = nil
}

func (s *Server) remove() {
	s.kill()
	os.RemoveAll(s.dir)
}
