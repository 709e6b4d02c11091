package readiness

import (
	"slices"
	"testing"
)

func TestStatusOfTheProcess(t *testing.T) {
	r := New("store", "relay")
	var notified []bool
	r.OnChange(func(serves bool) { notified = append(notified, serves) })
	for _, step := range []struct {
		name   string
		do     func()
		status string
		serves bool
	}{
		{"nothing is done", func() {}, Pending, false},
		{"one task is done", func() { r.Complete("store", "") }, Pending, false},
		{"all are done", func() { r.Complete("relay", "") }, Ready, true},
		{"a part stands still", func() { r.Degrade("relay", "no broker") }, Degraded, true},
		{"and what it cannot serve without", func() { r.Reopen("store", "read-only") }, Pending, false},
		{"the first is still to be done", func() { r.Complete("store", "") }, Degraded, true},
		{"all are done again", func() { r.Complete("relay", "") }, Ready, true},
		{"a name that is no task", func() { r.Reopen("other", "") }, Ready, true},
		{"it leaves", r.Leave, Draining, false},
		{"it drains", r.Drain, Draining, false},
	} {
		step.do()
		if report := r.Report(); report.Status != step.status || report.Serves() != step.serves {
			t.Errorf("%s: %s, serves %v", step.name, report.Status, report.Serves())
		}
	}
	if want := []bool{false, true, false, true, false}; !slices.Equal(notified, want) {
		t.Errorf("notified of %v, want %v", notified, want)
	}
	if !r.Draining() {
		t.Error("it does not drain")
	}
}
