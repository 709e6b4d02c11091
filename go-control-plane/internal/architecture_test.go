package internal_test

import (
	"go/build"
	"os"
	"path"
	"strings"
	"testing"
)

// domain has the packages that must not depend on transport or storage.
var domain = []string{"money", "catalog", "snapshot", "ledger", "fleet", "outbox", "backoff", "readiness"}

// forbidden has the packages that they must not import, directly or through each other.
var forbidden = []string{
	"net", "net/http", "net/rpc", "database/sql", "encoding/json",
	"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto",
	"github.com/grpc-ecosystem", "github.com/IBM/sarama", "github.com/jackc/pgx",
	"hybrid/control-plane/gen",
}

const module = "hybrid/control-plane/"

func TestDomainImportsNoTransportStorageOrBroker(t *testing.T) {
	allowed := map[string]bool{}
	for _, name := range domain {
		allowed[module+"internal/"+name] = true
	}
	for _, name := range domain {
		p, err := build.ImportDir(name, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module) && !allowed[imported] {
				t.Errorf("%s imports %s, which is not of the domain", name, imported)
			}
			for _, f := range forbidden {
				if imported == f || strings.HasPrefix(imported, f+"/") {
					t.Errorf("%s imports %s", name, imported)
				}
			}
		}
	}
}

// Every package has a package comment.
func TestPackagesAreDocumented(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		p, err := build.ImportDir(e.Name(), build.ImportComment)
		if err != nil {
			t.Errorf("%s: %v", path.Join("internal", e.Name()), err)
		} else if p.Doc == "" {
			t.Errorf("%s has no package comment", e.Name())
		}
	}
}
