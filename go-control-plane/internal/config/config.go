// Package config reads the settings of the control plane from the environment.
package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Config is every setting.
type Config struct {
	// Postgres is a connection URI.
	Postgres string
	// Kafka is the brokers' addresses, host:port each.
	Kafka []string
	// KafkaStandIn is true when Kafka is the in-memory mock cluster.
	KafkaStandIn bool
	// HTTPAddress and GRPCAddress are where to listen.
	HTTPAddress, GRPCAddress string
}

// Usage lists the variables, for people.
const Usage = `Variables:
  ConnectionStrings__hybriddb   PostgreSQL: Host=…;Port=…;Username=…;Password=…;Database=…  or a postgresql:// URI (required)
  ConnectionStrings__kafka      Kafka: host:port, more than one separated by commas (required)
  HYBRID_KAFKA_STAND_IN         true when Kafka is librdkafka's in-memory mock cluster (default false)
  HTTP_PORT                     REST, health and the OpenAPI document (default 7100)
  GRPC_PORT                     gRPC (default 7101)
  BIND_ADDRESS                  address to listen on (default 127.0.0.1)
  LOG_LEVEL                     debug, info, warn or error (default info)
  OTEL_EXPORTER_OTLP_ENDPOINT   where traces, metrics and logs go; unset: nowhere. The other OTEL_* variables are standard.
`

// Read reads the settings with getenv. An error says which variable to set, and how.
func Read(getenv func(string) string) (Config, error) {
	var c Config
	var err error
	if c.Postgres, err = PostgresURI(getenv("ConnectionStrings__hybriddb")); err != nil {
		return c, fmt.Errorf("set ConnectionStrings__hybriddb to Host=…;Port=…;Username=…;Password=…;Database=… or a postgresql:// URI: %w", err)
	}
	if c.Kafka, err = addresses(getenv("ConnectionStrings__kafka")); err != nil {
		return c, fmt.Errorf("set ConnectionStrings__kafka to host:port: %w", err)
	}
	if text := getenv("HYBRID_KAFKA_STAND_IN"); text != "" {
		if c.KafkaStandIn, err = strconv.ParseBool(text); err != nil {
			return c, fmt.Errorf("set HYBRID_KAFKA_STAND_IN to true or false: it is %q", text)
		}
	}
	bind := getenv("BIND_ADDRESS")
	if bind == "" {
		bind = "127.0.0.1"
	}
	if c.HTTPAddress, err = listen(getenv, bind, "HTTP_PORT", "7100"); err != nil {
		return c, err
	}
	c.GRPCAddress, err = listen(getenv, bind, "GRPC_PORT", "7101")
	return c, err
}

func listen(getenv func(string) string, bind, variable, standard string) (string, error) {
	text := getenv(variable)
	if text == "" {
		text = standard
	}
	if port, err := strconv.ParseUint(text, 10, 16); err != nil {
		return "", fmt.Errorf("set %s to a port from 0 to 65535: it is %q", variable, text)
	} else {
		return net.JoinHostPort(bind, strconv.FormatUint(port, 10)), nil
	}
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
		return nil, fmt.Errorf("it is empty")
	}
	return list, nil
}

// PostgresURI reads a connection string in the form of .NET (Host=…;Port=…), and passes a URI on as it is.
func PostgresURI(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "postgresql://") || strings.HasPrefix(text, "postgres://") {
		if _, err := url.Parse(text); err != nil {
			// The error of url.Parse repeats the text, and with it the password.
			return "", fmt.Errorf("the URI is malformed")
		}
		return text, nil
	}
	pairs, err := pairs(text)
	if err != nil {
		return "", err
	}
	if pairs["host"] == "" {
		return "", fmt.Errorf("Host is missing")
	}
	port := pairs["port"]
	if port == "" {
		port = "5432"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("Port %q is not a port", port)
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
		// Nothing but the host can be at fault: all else is escaped.
		return "", fmt.Errorf("Host %q is malformed", pairs["host"])
	}
	return text, nil
}

// keywords are the names that the connection string may use, and what each stands for. Others set up a pool of .NET, and
// mean nothing here.
var keywords = map[string]string{
	"host": "host", "server": "host", "port": "port", "database": "database", "db": "database",
	"username": "username", "userid": "username", "user": "username", "uid": "username",
	"password": "password", "pwd": "password", "sslmode": "sslmode",
}

// pairs splits key=value;… where a value in quotes may hold a semicolon, and a doubled quote stands for one.
func pairs(text string) (map[string]string, error) {
	found := map[string]string{}
	for text = strings.TrimLeft(text, "; \t"); text != ""; text = strings.TrimLeft(text, "; \t") {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("a part has no =")
		}
		key = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(key), " ", ""))
		if key == "" {
			return nil, fmt.Errorf("a part has no name")
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
			return "", "", fmt.Errorf("a quote is not closed")
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, quote) {
			after = strings.TrimLeft(after, " \t")
			if after != "" && after[0] != ';' {
				return "", "", fmt.Errorf("text follows a closing quote")
			}
			return b.String(), after, nil
		}
		b.WriteString(quote)
		text = after[1:]
	}
}
