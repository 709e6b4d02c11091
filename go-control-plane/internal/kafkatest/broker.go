//go:build unix

package kafkatest

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
)

// Broker is a Kafka node with its own data directory.
type Broker struct {
	Address  string
	jars     string
	dir      string
	settings string
	process  *exec.Cmd
	exited   chan struct{}
}

// Start starts a broker and stops it with the test. It skips the test if the machine has no Kafka or no Java.
func Start(t testing.TB) *Broker {
	t.Helper()
	home := os.Getenv("HYBRID_KAFKA_HOME")
	if home == "" {
		home = os.Getenv("KAFKA_HOME")
	}
	if home == "" {
		t.Skip("Apache Kafka is needed and not found: set HYBRID_KAFKA_HOME to a folder with libs/")
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("Java is needed to run Kafka, and is not on the PATH")
	}
	b := &Broker{jars: filepath.Join(home, "libs", "*"), dir: t.TempDir()}
	b.Address = "127.0.0.1:" + freePort(t)
	controller := "127.0.0.1:" + freePort(t)
	b.settings = filepath.Join(b.dir, "server.properties")
	settings := strings.NewReplacer("{broker}", b.Address, "{controller}", controller, "{data}", filepath.Join(b.dir, "data")).Replace(template(t))
	if err := os.WriteFile(b.settings, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	format := b.command("kafka.tools.StorageTool", "format", "--standalone",
		// One argument, because an id may begin with a dash.
		"--cluster-id="+base64.RawURLEncoding.EncodeToString(id[:]), "-c", b.settings)
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("kafka format: %v\n%s", err, out)
	}
	t.Cleanup(func() { b.Kill() })
	b.Run(t)
	return b
}

// Run starts the broker on its data, also after Kill, and waits until it answers.
func (b *Broker) Run(t testing.TB) {
	t.Helper()
	c := b.command("kafka.Kafka", b.settings)
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	b.process, b.exited = c, make(chan struct{})
	exited := b.exited
	go func() { c.Wait(); close(exited) }()
	deadline := time.Now().Add(60 * time.Second)
	for {
		config := sarama.NewConfig()
		config.Metadata.Retry.Max = 0
		client, err := sarama.NewClient([]string{b.Address}, config)
		if err == nil {
			client.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("kafka does not answer: %v\n%s", err, b.tail())
		}
		select {
		case <-exited:
			t.Fatalf("kafka has ended\n%s", b.tail())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Kill ends the broker as kill -9 does.
func (b *Broker) Kill() {
	if b.process == nil {
		return
	}
	syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL)
	<-b.exited
	b.process = nil
}

// Pause stops the broker as SIGSTOP does: it answers nothing, and its connections stay. Resume lets it go on.
func (b *Broker) Pause() { syscall.Kill(-b.process.Process.Pid, syscall.SIGSTOP) }

// Resume lets the broker go on after Pause.
func (b *Broker) Resume() { syscall.Kill(-b.process.Process.Pid, syscall.SIGCONT) }

func (b *Broker) command(class string, args ...string) *exec.Cmd {
	c := exec.Command("java", append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", b.jars, class}, args...)...)
	c.Dir = b.dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

func (b *Broker) tail() string {
	out, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	return string(out[max(0, len(out)-4000):])
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

// template returns the settings, which Go shares with the other languages.
func template(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../eng/kafka/server.properties"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
