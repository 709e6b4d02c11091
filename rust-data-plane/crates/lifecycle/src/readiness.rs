use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value, json};

use crate::shutdown::Draining;

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it is done.
    pub done: bool,
    /// A text for people; may be empty.
    pub detail: String,
}

impl State {
    /// Done.
    pub fn done(detail: impl Into<String>) -> Self {
        Self { done: true, detail: detail.into() }
    }

    /// Still to be done.
    pub fn pending(detail: impl Into<String>) -> Self {
        Self { done: false, detail: detail.into() }
    }
}

type Probe = Box<dyn Fn() -> State + Send + Sync>;
type Note = Box<dyn Fn() -> Value + Send + Sync>;

/// The named tasks that a process must complete before it is ready.
#[derive(Clone)]
pub struct Readiness {
    tasks: Arc<RwLock<Vec<Task>>>,
    notes: Arc<RwLock<Vec<(&'static str, Note)>>>,
    draining: Draining,
}

struct Task {
    name: &'static str,
    gates: bool,
    probe: Probe,
}

impl Readiness {
    /// Readiness without tasks.
    pub fn new(draining: Draining) -> Self {
        Self { tasks: Arc::default(), notes: Arc::default(), draining }
    }

    /// A task without which the process is not ready.
    pub fn gate(&self, name: &'static str, probe: impl Fn() -> State + Send + Sync + 'static) {
        self.add(Task { name, gates: true, probe: Box::new(probe) });
    }

    /// A task that does not keep the process from being ready: while it is to be done, a part of the work stands still, and the
    /// process is degraded.
    pub fn inform(&self, name: &'static str, probe: impl Fn() -> State + Send + Sync + 'static) {
        self.add(Task { name, gates: false, probe: Box::new(probe) });
    }

    /// Adds a value that the report shows beside the tasks.
    pub fn note(&self, name: &'static str, read: impl Fn() -> Value + Send + Sync + 'static) {
        self.notes.write().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(read)));
    }

    fn add(&self, task: Task) {
        self.tasks.write().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Whether the process is not ready any more, because its drain has begun or is about to begin.
    pub fn is_draining(&self) -> bool {
        self.draining.now()
    }

    /// Whether the process is ready.
    pub fn is_ready(&self) -> bool {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        !self.draining.now() && tasks.iter().all(|task| !task.gates || (task.probe)().done)
    }

    /// Whether the process is ready, and the report of all tasks.
    pub fn report(&self) -> (bool, Value) {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        let (mut ready, mut whole) = (true, true);
        let listed: Vec<Value> = tasks
            .iter()
            .map(|task| {
                let state = (task.probe)();
                ready &= state.done || !task.gates;
                whole &= state.done;
                let status = if state.done { "done" } else { "pending" };
                json!({"name": task.name, "status": status, "detail": state.detail})
            })
            .collect();
        let status = match (self.draining.now(), ready, whole) {
            (true, ..) => "draining",
            (false, false, _) => "pending",
            (false, true, false) => "degraded",
            (false, true, true) => "ready",
        };
        let mut report = Map::new();
        report.insert("status".into(), status.into());
        report.insert("tasks".into(), listed.into());
        for (name, read) in self.notes.read().unwrap_or_else(PoisonError::into_inner).iter() {
            report.insert((*name).into(), read());
        }
        (matches!(status, "ready" | "degraded"), report.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Drain;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn only_gates_gate_and_what_informs_degrades() {
        let drain = Drain::new();
        let readiness = Readiness::new(drain.draining());
        let loaded = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&loaded);
        readiness.gate("snapshot", move || match seen.load(Ordering::Relaxed) {
            true => State::done("version 3"),
            false => State::pending("none yet"),
        });
        let connected = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&connected);
        readiness.inform("kafka", move || match seen.load(Ordering::Relaxed) {
            true => State::done(""),
            false => State::pending("no broker"),
        });
        readiness.note("version", || 3.into());

        let (ready, report) = readiness.report();
        assert!(!ready && !readiness.is_ready());
        assert_eq!(report["status"], "pending");
        assert_eq!(report["tasks"][0], json!({"name": "snapshot", "status": "pending", "detail": "none yet"}));

        loaded.store(true, Ordering::Relaxed);
        let (ready, report) = readiness.report();
        assert!(ready && readiness.is_ready());
        assert_eq!((&report["status"], &report["tasks"][1]["status"]), (&"degraded".into(), &"pending".into()));
        assert_eq!(report["version"], 3);

        connected.store(true, Ordering::Relaxed);
        let (ready, report) = readiness.report();
        assert_eq!((ready, &report["status"]), (true, &"ready".into()));

        drain.start();
        assert_eq!(readiness.report().1["status"], "draining");
        assert!(!readiness.is_ready());
    }
}
