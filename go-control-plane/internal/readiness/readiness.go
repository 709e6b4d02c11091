// Package readiness tracks the named tasks that a process must complete before it is ready.
package readiness

import (
	"slices"
	"sync"
)

// Status of the process or of a task.
const (
	Ready    = "ready"
	Pending  = "pending"
	Draining = "draining"
	Done     = "done"
)

// Task is one condition of readiness.
type Task struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
}

// Report is the state of all tasks.
type Report struct {
	Status string `json:"status"`
	Tasks  []Task `json:"tasks"`
}

// Readiness is the tasks of one process.
type Readiness struct {
	mu    sync.Mutex
	tasks []Task
	// leaving comes before draining, with the same status.
	leaving, draining bool
	changed           []func(ready bool)
}

// New returns the tasks, all pending.
func New(names ...string) *Readiness {
	r := &Readiness{}
	for _, name := range names {
		r.tasks = append(r.tasks, Task{Name: name, Status: Pending})
	}
	return r
}

// OnChange calls notify now, and whenever the status of the process changes.
func (r *Readiness) OnChange(notify func(ready bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, notify)
	notify(r.status() == Ready)
}

// Complete marks a task as done.
func (r *Readiness) Complete(name, detail string) { r.set(name, Done, detail) }

// Reopen marks a task as pending, again or still.
func (r *Readiness) Reopen(name, detail string) { r.set(name, Pending, detail) }

// Leave makes the status Draining for the rest of the process's life. Calls are still answered until Drain.
func (r *Readiness) Leave() { r.change(func() { r.leaving = true }) }

// Drain does what Leave does, and ends what Leave leaves on: new calls are refused.
func (r *Readiness) Drain() { r.change(func() { r.leaving, r.draining = true, true }) }

// Draining reports whether Drain was called.
func (r *Readiness) Draining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// Report returns the state of all tasks.
func (r *Readiness) Report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Report{r.status(), slices.Clone(r.tasks)}
}

func (r *Readiness) set(name, status, detail string) {
	r.change(func() {
		for i := range r.tasks {
			if r.tasks[i].Name == name {
				r.tasks[i].Status, r.tasks[i].Detail = status, detail
			}
		}
	})
}

func (r *Readiness) change(apply func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.status()
	apply()
	if after := r.status(); before != after {
		for _, notify := range r.changed {
			notify(after == Ready)
		}
	}
}

func (r *Readiness) status() string {
	if r.leaving {
		return Draining
	}
	for _, t := range r.tasks {
		if t.Status != Done {
			return Pending
		}
	}
	return Ready
}
