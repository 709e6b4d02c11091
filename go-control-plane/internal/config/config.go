// Package config reads the settings of the control plane from the environment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The variables that are named in errors outside this package, too.
const (
	PostgresVariable = "ConnectionStrings__hybriddb"
	HTTPPortVariable = "HTTP_PORT"
	GRPCPortVariable = "GRPC_PORT"
)

// Config is the settings of the program, except those of OpenTelemetry.
type Config struct {
	// Postgres is a connection URI.
	Postgres string
	// Kafka is the addresses of the bootstrap servers, host:port each.
	Kafka []string
	// KafkaStandIn is true if Kafka is librdkafka's in-memory mock cluster.
	KafkaStandIn bool
	// HTTPAddress and GRPCAddress are the addresses to listen on.
	HTTPAddress, GRPCAddress string
	// LogLevel is the lowest level that is logged.
	LogLevel slog.Level
	// LedgerRetention is how long entries of the ledger are kept; 0 is for ever.
	LedgerRetention time.Duration
	// NodeRetention is how long a node is known that is not connected; 0 is for ever.
	NodeRetention time.Duration
	// DrainDelay is how long the process still serves after it has said that it is not ready.
	DrainDelay time.Duration
}

// Error is a setting that is refused. Starting the program again does not help until the variable is changed.
type Error struct {
	Variable string
	// Reason says what is wrong with the value, and how to set it.
	Reason string
	// Err is the cause, if there is one.
	Err error
}

func (e *Error) Error() string {
	text := e.Variable + ": " + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Usage is the help text about the variables.
const Usage = `Variables:
  ConnectionStrings__hybriddb   PostgreSQL: Host=…;Port=…;Username=…;Password=…;Database=…  or a postgresql:// URI (required)
  ConnectionStrings__kafka      Kafka: host:port, more than one separated by commas (required)
  HYBRID_KAFKA_STAND_IN         true when Kafka is librdkafka's in-memory mock cluster (default false)
  HTTP_PORT                     REST, health and the OpenAPI document (default 7100)
  GRPC_PORT                     gRPC (default 7101)
  BIND_ADDRESS                  address to listen on (default 127.0.0.1)
  LOG_LEVEL                     debug, info, warn or error (default info)
  LEDGER_RETENTION_DAYS         how long entries of the ledger are kept; totals are always kept (default 400, 0 is for ever)
  NODE_RETENTION_DAYS           how long a data plane is known that is not connected any more (default 30, 0 is for ever)
  DRAIN_DELAY                   seconds for which a process that is told to end is not ready, but still serves, so that callers and
                                balancers turn away before it refuses them: 0 to 300 (default 0)
  OTEL_EXPORTER_OTLP_ENDPOINT   receives traces, metrics and logs over OTLP/gRPC (default: nothing is exported). The other
                                OTEL_* variables are those of the OpenTelemetry specification.

Exit codes: 0 after a signal to end, 1 after a failure, 2 if a setting is refused.
`

// Read reads the settings with getenv. Every error is an *Error.
func Read(getenv func(string) string) (Config, error) {
	var c Config
	var err error
	if c.Postgres, err = PostgresURI(getenv(PostgresVariable)); err != nil {
		return c, &Error{PostgresVariable, "must be Host=…;Port=…;Username=…;Password=…;Database=… or a postgresql:// URI", err}
	}
	if c.Kafka, err = addresses(getenv("ConnectionStrings__kafka")); err != nil {
		return c, &Error{"ConnectionStrings__kafka", "must be host:port, more than one separated by commas", err}
	}
	if text := getenv("HYBRID_KAFKA_STAND_IN"); text != "" {
		if c.KafkaStandIn, err = strconv.ParseBool(text); err != nil {
			return c, &Error{"HYBRID_KAFKA_STAND_IN", fmt.Sprintf("must be true or false, is %q", text), nil}
		}
	}
	if text := getenv("LOG_LEVEL"); text != "" {
		if err := c.LogLevel.UnmarshalText([]byte(text)); err != nil {
			return c, &Error{"LOG_LEVEL", fmt.Sprintf("must be debug, info, warn or error, is %q", text), nil}
		}
	}
	if c.LedgerRetention, err = retention(getenv, "LEDGER_RETENTION_DAYS", 400); err != nil {
		return c, err
	}
	if c.NodeRetention, err = retention(getenv, "NODE_RETENTION_DAYS", 30); err != nil {
		return c, err
	}
	if text := getenv("DRAIN_DELAY"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 64)
		if err != nil || seconds > maxDrainDelay {
			return c, &Error{"DRAIN_DELAY", fmt.Sprintf("must be a number of seconds from 0 to %d, is %q", maxDrainDelay, text), nil}
		}
		c.DrainDelay = time.Duration(seconds) * time.Second
	}
	bind := getenv("BIND_ADDRESS")
	if bind == "" {
		bind = "127.0.0.1"
	}
	if c.HTTPAddress, err = listen(getenv, bind, HTTPPortVariable, "7100"); err != nil {
		return c, err
	}
	c.GRPCAddress, err = listen(getenv, bind, GRPCPortVariable, "7101")
	return c, err
}

// maxRetentionDays is about a hundred years.
const maxRetentionDays = 36_500

func retention(getenv func(string) string, variable string, standard uint64) (time.Duration, error) {
	days := standard
	if text := getenv(variable); text != "" {
		var err error
		if days, err = strconv.ParseUint(text, 10, 64); err != nil || days > maxRetentionDays {
			return 0, &Error{variable, fmt.Sprintf("must be a number of days from 0 to %d, is %q", maxRetentionDays, text), nil}
		}
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

// maxDrainDelay is in seconds.
const maxDrainDelay = 300

func listen(getenv func(string) string, bind, variable, standard string) (string, error) {
	text := getenv(variable)
	if text == "" {
		text = standard
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", &Error{variable, fmt.Sprintf("must be a port from 0 to 65535, is %q", text), nil}
	}
	return net.JoinHostPort(bind, strconv.FormatUint(port, 10)), nil
}

func addresses(text string) ([]string, error) {
	var list []string
	for _, address := range strings.Split(text, ",") {
		if address = strings.TrimSpace(address); address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" {
			return nil, fmt.Errorf("%q is not host:port", address)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, fmt.Errorf("%q has no port", address)
		}
		list = append(list, address)
	}
	if len(list) == 0 {
		return nil, errors.New("it is empty")
	}
	return list, nil
}

// PostgresURI turns a connection string in the form of .NET (Host=…;Port=…) into a URI, and returns a URI unchanged. Errors
// do not contain the password.
func PostgresURI(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "postgresql://") || strings.HasPrefix(text, "postgres://") {
		if _, err := url.Parse(text); err != nil {
			// The error of url.Parse repeats the text, and with it the password.
			return "", errors.New("the URI is malformed")
		}
		return text, nil
	}
	pairs, err := pairs(text)
	if err != nil {
		return "", err
	}
	if pairs["host"] == "" {
		return "", errors.New("the keyword Host is missing")
	}
	port := pairs["port"]
	if port == "" {
		port = "5432"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("the port %q is not a number from 1 to 65535", port)
	}
	uri := url.URL{Scheme: "postgresql", Host: net.JoinHostPort(pairs["host"], port)}
	if pairs["database"] != "" {
		uri.Path = "/" + pairs["database"]
	}
	switch {
	case pairs["password"] != "":
		uri.User = url.UserPassword(pairs["username"], pairs["password"])
	case pairs["username"] != "":
		uri.User = url.User(pairs["username"])
	}
	query := url.Values{}
	if mode := strings.ToLower(pairs["sslmode"]); mode != "" {
		named := map[string]string{"verifyca": "verify-ca", "verifyfull": "verify-full"}
		if name, ok := named[mode]; ok {
			mode = name
		}
		query.Set("sslmode", mode)
	}
	uri.RawQuery = query.Encode()
	text = uri.String()
	if _, err := url.Parse(text); err != nil {
		// Only the host can be the cause: everything else is escaped.
		return "", fmt.Errorf("the host %q is malformed", pairs["host"])
	}
	return text, nil
}

// keywords maps the keywords of connection strings to their meaning. Others configure .NET's connection pool and are ignored.
var keywords = map[string]string{
	"host": "host", "server": "host", "port": "port", "database": "database", "db": "database",
	"username": "username", "userid": "username", "user": "username", "uid": "username",
	"password": "password", "pwd": "password", "sslmode": "sslmode",
}

// pairs parses key=value;… A quoted value may contain semicolons, and its quote character if doubled.
func pairs(text string) (map[string]string, error) {
	found := map[string]string{}
	for text = strings.TrimLeft(text, "; \t"); text != ""; text = strings.TrimLeft(text, "; \t") {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, errors.New("a part has no =")
		}
		key = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(key), " ", ""))
		if key == "" {
			return nil, errors.New("a part has no name")
		}
		value, rest, err := value(strings.TrimLeft(rest, " \t"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if name, known := keywords[key]; known {
			found[name] = value
		}
		text = rest
	}
	return found, nil
}

func value(text string) (value, rest string, err error) {
	if text == "" || (text[0] != '\'' && text[0] != '"') {
		value, rest, _ = strings.Cut(text, ";")
		return strings.TrimSpace(value), rest, nil
	}
	quote := text[:1]
	var b strings.Builder
	for text = text[1:]; ; {
		part, after, closed := strings.Cut(text, quote)
		if !closed {
			return "", "", errors.New("a quote is not closed")
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, quote) {
			after = strings.TrimLeft(after, " \t")
			if after != "" && after[0] != ';' {
				return "", "", errors.New("text follows a closing quote")
			}
			return b.String(), after, nil
		}
		b.WriteString(quote)
		text = after[1:]
	}
}
