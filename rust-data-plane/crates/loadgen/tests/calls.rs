//! Where calls go and how they are counted.
#![allow(clippy::unwrap_used, missing_docs)]

mod server;

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::{DataPlane, Faults, loadgen, report, terminate};

#[test]
fn targets_take_turns_and_one_that_is_away_fails_alone() {
    let (node, refusing) =
        (DataPlane::start(Faults::default()), DataPlane::start(Faults { refuse: true, ..Faults::default() }));
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (first, second, third) = (node.url(), refusing.url(), format!("http://{away}"));
    let options = ["--rate", "300", "--count", "90", "--warm-up", "0s", "--traceparent", parent];
    let report = report(&mut loadgen(&[&first, &second, &third], &options));
    assert_eq!((&report["sent"], &report["answered"]), (&90.into(), &30.into()), "{report}");
    assert_eq!(report["failed"], serde_json::json!({"FAILED_PRECONDITION": 30, "UNAVAILABLE": 30}));
    let each: Vec<_> = report["perTarget"].as_array().unwrap().iter().collect();
    assert_eq!((&each[0]["answered"], &each[0]["target"]), (&30.into(), &first.into()));
    assert_eq!(each[1]["failed"], serde_json::json!({"FAILED_PRECONDITION": 30}));
    assert_eq!(each[2]["failed"], serde_json::json!({"UNAVAILABLE": 30}));
    assert_eq!(*node.seen.traceparents.lock().unwrap(), vec![parent; 30]);
}

#[test]
fn a_target_that_comes_back_is_connected_to_again() {
    let node = DataPlane::start(Faults::default());
    let (url, address) = (node.url(), node.address);
    let mut child = loadgen(&[&url], &["--rate", "200", "--duration", "60s", "--warm-up", "0s"]).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
    let quotes = |node: &DataPlane, count: usize| {
        let until = Instant::now() + Duration::from_secs(20);
        while node.seen.served.lock().unwrap().len() < count {
            assert!(Instant::now() < until, "the quotes do not arrive");
            thread::sleep(Duration::from_millis(5));
        }
    };
    quotes(&node, 20);
    drop(node);
    assert!(progress.any(|line| line.unwrap().contains("UNAVAILABLE")));
    let node = DataPlane::listen(address, Faults::default());
    quotes(&node, 20);
    terminate(&child);
    progress.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |value: &Value| value.as_u64().unwrap();
    assert!(count(&report["failed"]["UNAVAILABLE"]) > 0, "{report}");
    assert_eq!(report["failed"].as_object().unwrap().len(), 1, "{report}");
    assert_eq!(count(&report["sent"]), count(&report["answered"]) + count(&report["failed"]["UNAVAILABLE"]));
}

#[test]
fn a_signal_waits_for_what_is_in_flight() {
    let node = DataPlane::start(Faults { delay: Duration::from_millis(300), ..Faults::default() });
    let mut command = loadgen(&[&node.url()], &["--rate", "100", "--duration", "60s", "--warm-up", "0s"]);
    let child = command.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while node.seen.served.lock().unwrap().len() < 10 {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(5));
    }
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["sent"], &report["failed"]), (&report["answered"], &serde_json::json!({})), "{report}");
    assert!(report["sent"].as_u64().unwrap() < 1_000);
}

#[test]
fn a_late_answer_fails_by_its_deadline() {
    let node = DataPlane::start(Faults { delay: Duration::from_secs(5), ..Faults::default() });
    let options = ["--rate", "100", "--count", "10", "--warm-up", "0s", "--timeout", "50ms"];
    let report = report(&mut loadgen(&[&node.url()], &options));
    assert_eq!(report["failed"], serde_json::json!({"DEADLINE_EXCEEDED": 10}), "{report}");
}

#[test]
fn health_is_the_call_without_work() {
    let node = DataPlane::start(Faults { refuse: true, ..Faults::default() });
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["--target", &node.url(), "--method", "health", "--rate", "200", "--count", "50", "--warm-up", "0s"]);
    let report = report(&mut command);
    assert_eq!((&report["answered"], &report["grossMinor"]), (&50.into(), &"0".into()), "{report}");
}

#[test]
fn bad_options_end_with_2_before_anything_is_sent() {
    let url = "http://127.0.0.1:1";
    for options in [
        &["--target", url][..],
        &["--target", "127.0.0.1:1", "--rate", "1", "--method", "health"],
        &["--rate", "1", "--method", "health"],
        &["--target", url, "--rate", "0", "--method", "health"],
        &["--target", url, "--rate", "1", "--method", "health", "--duration", "soon"],
        &["--target", url, "--rate", "1", "--method", "health", "--connections", "0"],
        &["--target", url, "--rate", "1"],
        &["--target", url, "--rate", "1", "--currency", "EUR", "--jurisdiction", "DE"],
        &["--target", url, "--rate", "1", "--currency", "EUR", "--jurisdiction", "DE", "--line", "mug"],
        &["--target", url, "--rate", "1", "--method", "health", "--traceparent", "00-00-00-00"],
        &["--target", url, "--rate", "1", "--method", "http"],
        &["--target", url, "--rate", "1", "--method", "http", "--path", "no path"],
        &["--target", url, "--rate", "1", "--closed", "--method", "health"],
        &["--target", url, "--method", "health"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen")).args(options).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{options:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{options:?}");
    }
}
