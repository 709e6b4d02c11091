// Package readiness tracks the named tasks of a process: what it must do before it is ready, and what it must go on doing.
package readiness

import (
	"slices"
	"sync"
)

// Status of the process or of a task.
const (
	Ready = "ready"
	// Degraded is a process that serves while a part of its work stands still.
	Degraded = "degraded"
	Pending  = "pending"
	Draining = "draining"
	Done     = "done"
)

// Task is one condition of readiness.
type Task struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
	// degrades is of a pending task without which the process serves all the same.
	degrades bool
}

// Report is the state of all tasks.
type Report struct {
	Status string `json:"status"`
	Tasks  []Task `json:"tasks"`
}

// Serves reports whether calls should be sent to the process.
func (r Report) Serves() bool { return serves(r.Status) }

func serves(status string) bool { return status == Ready || status == Degraded }

// Readiness is the tasks of one process.
type Readiness struct {
	mu    sync.Mutex
	tasks []Task
	// leaving comes before draining, with the same status.
	leaving, draining bool
	changed           []func(serves bool)
}

// New returns the tasks, all pending.
func New(names ...string) *Readiness {
	r := &Readiness{}
	for _, name := range names {
		r.tasks = append(r.tasks, Task{Name: name, Status: Pending})
	}
	return r
}

// OnChange calls notify now, and whenever calls should be sent to the process, or should not any more.
func (r *Readiness) OnChange(notify func(serves bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, notify)
	notify(serves(r.status()))
}

// Complete marks a task as done.
func (r *Readiness) Complete(name, detail string) {
	r.set(Task{Name: name, Status: Done, Detail: detail})
}

// Reopen marks a task as pending, again or still: the process is not ready.
func (r *Readiness) Reopen(name, detail string) {
	r.set(Task{Name: name, Status: Pending, Detail: detail})
}

// Degrade marks a task as pending without which the process serves all the same.
func (r *Readiness) Degrade(name, detail string) {
	r.set(Task{Name: name, Status: Pending, Detail: detail, degrades: true})
}

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

func (r *Readiness) set(task Task) {
	r.change(func() {
		for i := range r.tasks {
			if r.tasks[i].Name == task.Name {
				r.tasks[i] = task
			}
		}
	})
}

func (r *Readiness) change(apply func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.status()
	apply()
	if after := r.status(); serves(before) != serves(after) {
		for _, notify := range r.changed {
			notify(serves(after))
		}
	}
}

func (r *Readiness) status() string {
	if r.leaving {
		return Draining
	}
	status := Ready
	for _, t := range r.tasks {
		if t.Status == Done {
			continue
		}
		if !t.degrades {
			return Pending
		}
		status = Degraded
	}
	return status
}
