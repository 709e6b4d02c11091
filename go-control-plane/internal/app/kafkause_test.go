package app

import (
	"errors"
	"testing"

	"hybrid/control-plane/internal/readiness"
)

// What is lost for good is told for as long as the process lives, and does not keep it from being ready.
func TestALossStaysInReadiness(t *testing.T) {
	use := kafkaUse{ready: readiness.New(taskLedger)}
	lost, healthy := use.lost(taskLedger), use.healthy(taskLedger)
	lost("5 records of hybrid.usage.v1")
	for _, step := range []struct {
		name, status, detail string
		err                  error
	}{
		{"it goes on", readiness.Ready, "lost records: 5 records of hybrid.usage.v1", nil},
		{"it stands still", readiness.Degraded, "no broker", errors.New("no broker")},
		{"it goes on again", readiness.Ready, "lost records: 5 records of hybrid.usage.v1", nil},
	} {
		healthy(step.err)
		if report := use.ready.Report(); report.Status != step.status || report.Tasks[0].Detail != step.detail {
			t.Errorf("%s: %+v", step.name, report)
		}
	}
}
