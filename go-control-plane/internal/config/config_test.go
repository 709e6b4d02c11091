package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hybrid/control-plane/internal/config"
)

func TestPostgresURI(t *testing.T) {
	for text, want := range map[string]string{
		"Host=127.0.0.1;Port=7432;Username=hybrid;Password=s3cret;Database=hybriddb": "postgresql://hybrid:s3cret@127.0.0.1:7432/hybriddb",
		"host=db; user id = me ;database=x":                                          "postgresql://me@db:5432/x",
		"Host=db;Port=65535":                                                         "postgresql://db:65535",
		"Host=db;Port=1;Password=;":                                                  "postgresql://db:1",
		`Host=db;Username='u' ;Password='it''s'`:                                     "postgresql://u:it%27s@db:5432",
		"Server=::1;Database=x;Pooling=true;;":                                       "postgresql://[::1]:5432/x",
		`Host=db;Password="a;b""c";Username=u`:                                       "postgresql://u:a;b%22c@db:5432",
		"Host=db;SSL Mode=VerifyFull":                                                "postgresql://db:5432?sslmode=verify-full",
		"postgresql://u:p@db/x?sslmode=disable":                                      "postgresql://u:p@db/x?sslmode=disable",
	} {
		if got, err := config.PostgresURI(text); err != nil || got != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ";", "Port=1", "Host", "Host=db;Port=x", "Host=db;Port=70000", "Host=db;Port=65536", "Host=db;Port=0", "Host=a b", `Host="db`, `Host="db"x`, "=db"} {
		if got, err := config.PostgresURI(text); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}

func TestErrorsHideThePassword(t *testing.T) {
	for _, text := range []string{"postgresql://u:hunter2@db:x/y", "Host=db;Port=x;Password=hunter2", "Password=hunter2;Host", `Password=hunter2;Host="`} {
		if _, err := config.PostgresURI(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestQuotedValuesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "password")
		text := `Host=db;Password="` + strings.ReplaceAll(password, `"`, `""`) + `";Username=u`
		uri, err := config.PostgresURI(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := parsed.User.Password(); got != password {
			t.Fatalf("%q came back as %q in %s", password, got, uri)
		}
	})
}

func FuzzPostgresURI(f *testing.F) {
	f.Add("Host=127.0.0.1;Port=7432;Username=hybrid;Password=s3cret;Database=hybriddb")
	f.Add(`Host="a""b';`)
	f.Add("Host=a b")
	f.Fuzz(func(t *testing.T, text string) {
		uri, err := config.PostgresURI(text)
		if err != nil {
			return
		}
		if _, err := url.Parse(uri); err != nil {
			t.Fatalf("%q became %q: %v", text, uri, err)
		}
	})
}

func TestRead(t *testing.T) {
	env := map[string]string{
		"ConnectionStrings__hybriddb": "Host=db",
		"ConnectionStrings__kafka":    "a:1, b:2",
		"HYBRID_KAFKA_STAND_IN":       "true",
		"GRPC_PORT":                   "0",
		"LOG_LEVEL":                   "warn",
	}
	c, err := config.Read(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Kafka) != 2 || c.Kafka[1] != "b:2" || !c.KafkaStandIn || c.HTTPAddress != "127.0.0.1:7100" || c.GRPCAddress != "127.0.0.1:0" || c.LogLevel != slog.LevelWarn {
		t.Errorf("%+v", c)
	}
	for name, value := range map[string]string{
		"ConnectionStrings__hybriddb": "", "ConnectionStrings__kafka": "nowhere", "HYBRID_KAFKA_STAND_IN": "perhaps",
		"HTTP_PORT": "http", "GRPC_PORT": "65536", "LOG_LEVEL": "loud",
	} {
		_, err := config.Read(func(asked string) string {
			if asked == name {
				return value
			}
			return env[asked]
		})
		var refused *config.Error
		if !errors.As(err, &refused) || refused.Variable != name || !strings.HasPrefix(err.Error(), name+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%q: %v", name, value, err)
		}
	}
}

func TestRetention(t *testing.T) {
	for variable, kept := range map[string]struct {
		standard time.Duration
		of       func(config.Config) time.Duration
	}{
		"LEDGER_RETENTION_DAYS": {400 * 24 * time.Hour, func(c config.Config) time.Duration { return c.LedgerRetention }},
		"NODE_RETENTION_DAYS":   {30 * 24 * time.Hour, func(c config.Config) time.Duration { return c.NodeRetention }},
	} {
		for text, want := range map[string]time.Duration{"": kept.standard, "0": 0, "1": 24 * time.Hour, "36500": 36_500 * 24 * time.Hour, "36501": -1, "-1": -1, "1d": -1} {
			c, err := config.Read(func(name string) string {
				return map[string]string{"ConnectionStrings__hybriddb": "Host=db", "ConnectionStrings__kafka": "k:1", variable: text}[name]
			})
			var refused *config.Error
			if want < 0 {
				if !errors.As(err, &refused) || refused.Variable != variable {
					t.Errorf("%s=%q: %v", variable, text, err)
				}
			} else if err != nil || kept.of(c) != want {
				t.Errorf("%s=%q: %v, %v; want %v", variable, text, kept.of(c), err, want)
			}
		}
	}
}

func TestAddressesOfKafka(t *testing.T) {
	for text, want := range map[string]string{"k:1": "[k:1]", " k:1 , l:65535 ,": "[k:1 l:65535]", "[::1]:9": "[[::1]:9]",
		"": "", " , ": "", "k": "", ":1": "", "k:": "", "k:65536": "", "k:-1": "", "k:x": "", "k:1,l": ""} {
		c, err := config.Read(func(name string) string {
			return map[string]string{"ConnectionStrings__hybriddb": "Host=db", "ConnectionStrings__kafka": text}[name]
		})
		var refused *config.Error
		if want == "" {
			if !errors.As(err, &refused) || refused.Variable != "ConnectionStrings__kafka" {
				t.Errorf("%q: %v, %v", text, c.Kafka, err)
			}
		} else if err != nil || fmt.Sprint(c.Kafka) != want {
			t.Errorf("%q: %v, %v; want %s", text, c.Kafka, err, want)
		}
	}
}

func TestDrainDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "0": 0, "5": 5 * time.Second, "300": 300 * time.Second, "301": -1, "-1": -1, "5s": -1} {
		c, err := config.Read(func(name string) string {
			return map[string]string{"ConnectionStrings__hybriddb": "Host=db", "ConnectionStrings__kafka": "k:9092", "DRAIN_DELAY": text}[name]
		})
		var refused *config.Error
		if want < 0 {
			if !errors.As(err, &refused) || refused.Variable != "DRAIN_DELAY" {
				t.Errorf("%q: %v", text, err)
			}
		} else if err != nil || c.DrainDelay != want {
			t.Errorf("%q is %v, %v; want %v", text, c.DrainDelay, err, want)
		}
	}
}
