//! Requests over HTTP/1.1, and the closed loop.
#![allow(clippy::unwrap_used, missing_docs)]

mod server;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::site::Site;
use crate::server::{DataPlane, Faults, loadgen, report, terminate};

fn requests(site: &Site, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(["--target", &site.url(), "--method", "http", "--warm-up", "0s"]).args(options);
    command
}

#[test]
fn a_body_is_posted_and_a_path_alone_is_got() {
    let site = Site::start(Faults::default());
    let got = report(&mut requests(&site, &["--rate", "300", "--count", "30", "--path", "/plaintext?a=b"]));
    assert_eq!((&got["answered"], got["keptUp"].is_boolean()), (&30.into(), true), "{got}");
    let post = ["--rate", "300", "--count", "20", "--path", "/items", "--body", r#"{"name":"mug"}"#];
    assert_eq!(report(&mut requests(&site, &post))["answered"], 20);
    let mut seen = site.requests.lock().unwrap().split_off(0);
    seen.dedup();
    assert_eq!(seen, ["GET /plaintext?a=b  ", r#"POST /items application/json {"name":"mug"}"#]);
}

#[test]
fn what_is_not_2xx_fails_by_its_status() {
    let site = Site::start(Faults::default());
    let refused = report(&mut requests(&site, &["--rate", "300", "--count", "30", "--path", "/refused"]));
    assert_eq!((&refused["answered"], &refused["failed"]), (&0.into(), &json!({"HTTP 422": 30})), "{refused}");
    let url = site.url();
    drop(site);
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args([
        "--target",
        &url,
        "--method",
        "http",
        "--path",
        "/",
        "--warm-up",
        "0s",
        "--rate",
        "300",
        "--count",
        "30",
    ]);
    assert_eq!(report(&mut command)["failed"], json!({"UNAVAILABLE": 30}));
}

/// A connection of HTTP/1.1 that carries a late answer cannot carry another call.
#[test]
fn a_late_answer_costs_its_connection_alone() {
    let site = Site::start(Faults { stall: Some((5, Duration::from_millis(400))), ..Faults::default() });
    let options = ["--rate", "50", "--count", "40", "--path", "/", "--timeout", "200ms", "--connections", "2"];
    let report = report(&mut requests(&site, &options));
    let late = report["failed"]["DEADLINE_EXCEEDED"].as_u64().unwrap();
    assert!((1..=25).contains(&late), "{report}");
    assert_eq!(report["answered"].as_u64().unwrap() + late, 40, "{report}");
}

#[test]
fn a_closed_loop_has_one_call_under_way_on_each_connection() {
    let site = Site::start(Faults { delay: Duration::from_millis(20), ..Faults::default() });
    let options = ["--closed", "--path", "/", "--connections", "3", "--duration", "2s", "--histogram"];
    let report = report(&mut requests(&site, &options));
    // Three callers that wait at least 20 ms for each answer.
    let answered = report["answered"].as_u64().unwrap();
    assert!((30..=300).contains(&answered), "{report}");
    assert_eq!((&report["keptUp"], &report["failed"]), (&Value::Null, &json!({})), "{report}");
    assert!(report["latencyMicros"]["p50"].as_u64().unwrap() >= 20_000, "{report}");
    let histogram: Vec<(u64, u64)> = serde_json::from_value(report["histogramMicros"].clone()).unwrap();
    assert_eq!(histogram.iter().map(|&(_, count)| count).sum::<u64>(), answered);
}

#[test]
fn a_closed_loop_ends_by_count_and_by_signal() {
    let node = DataPlane::start(Faults::default());
    let counted =
        report(&mut loadgen(&[&node.url()], &["--closed", "--in-flight", "8", "--count", "500", "--warm-up", "100ms"]));
    assert_eq!((&counted["sent"], &counted["answered"]), (&500.into(), &500.into()), "{counted}");
    let before = node.seen.served.lock().unwrap().len();
    let child = loadgen(&[&node.url()], &["--closed", "--duration", "60s"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while node.seen.served.lock().unwrap().len() < before + 50 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    terminate(&child);
    assert!(child.wait_with_output().unwrap().status.success());
}

/// More than any machine can send: the report must say that its figures do not speak of the target.
#[test]
fn a_generator_that_cannot_keep_up_says_so() {
    let site = Site::start(Faults::default());
    let report =
        report(&mut requests(&site, &["--rate", "1000000", "--count", "100000", "--path", "/", "--timeout", "1s"]));
    assert_eq!(report["keptUp"], false, "{}", report["achievedRate"]);
    assert!(report["generatorCores"].as_f64().unwrap() > 0.5, "{}", report["generatorCores"]);
}
