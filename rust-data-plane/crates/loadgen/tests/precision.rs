//! What the generator measures, against what is known of the server. In a file of its own, so that no other test runs beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod server;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::server::site::Site;
use crate::server::{DataPlane, Faults, loadgen, report};

fn micros(report: &Value, name: &str) -> u64 {
    report["latencyMicros"][name].as_u64().unwrap()
}

/// The tests take turns, because each measures.
static ALONE: Mutex<()> = Mutex::new(());

/// What a run of 1,500 measured quotes adds at the median to the time that the server took, in µs.
fn overhead() -> u64 {
    let node = DataPlane::start(Faults { delay: Duration::from_millis(20), ..Faults::default() });
    let report = report(&mut loadgen(&[&node.url()], &["--rate", "500", "--duration", "3s", "--warm-up", "500ms"]));
    assert_eq!((&report["answered"], &report["warmUp"]["answered"]), (&1_500.into(), &250.into()), "{report}");
    assert_eq!((&report["sent"], &report["failed"]), (&1_500.into(), &serde_json::json!({})), "{report}");
    assert_eq!((&report["grossMinor"], &report["netMinor"]), (&(1_500 * 357).to_string().into(), &"450000".into()));
    assert_eq!(report["discountMinor"], "45000");
    assert!((490.0..=510.0).contains(&report["achievedRate"].as_f64().unwrap()), "{report}");
    let mut served = node.seen.served.lock().unwrap().split_off(250);
    served.sort_unstable();
    let served = u64::try_from(served[served.len() / 2].as_micros()).unwrap();
    assert!(served >= 20_000);
    micros(&report, "p50").checked_sub(served).expect("a quote is not faster than its server")
}

#[test]
fn it_adds_less_than_half_a_millisecond_of_its_own() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Other processes can only add to it, so one run of a few has to show it.
    let least = (0..4).map(|_| overhead()).find(|&micros| micros < 500);
    assert!(least.is_some(), "each of four runs added more");
}

/// A generator that waits for an answer before it sends again would see one slow call on each connection.
#[test]
fn a_stall_shows_in_every_call_that_was_due_during_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stall = Faults { stall: Some((200, Duration::from_millis(500))), ..Faults::default() };
    let options = ["--rate", "200", "--duration", "3s", "--warm-up", "0s"];
    let node = DataPlane::start(stall);
    let quotes = report(&mut loadgen(&[&node.url()], &options));
    let site = Site::start(stall);
    let pages = report(loadgen(&[&site.url()], &options).args(["--method", "http", "--path", "/"]));
    for report in [quotes, pages] {
        // 100 of 600 calls are due while the server stalls; they wait evenly from 0 to 500 ms, 60 of them 200 ms or longer.
        assert_eq!(report["answered"], 600, "{report}");
        assert!(micros(&report, "p50") < 100_000, "{report}");
        assert!(micros(&report, "p90") >= 150_000, "{report}");
        assert!(micros(&report, "p99") >= 420_000, "{report}");
        assert!(micros(&report, "max") >= 495_000, "{report}");
    }
}

/// The same stall in a closed loop, for comparison: only the calls that were under way show it, one on each connection.
#[test]
fn a_closed_loop_hides_a_stall() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let node = DataPlane::start(Faults { stall: Some((200, Duration::from_millis(500))), ..Faults::default() });
    let report = report(&mut loadgen(&[&node.url()], &["--closed", "--count", "2000", "--warm-up", "0s"]));
    assert_eq!(report["answered"], 2_000, "{report}");
    assert!(micros(&report, "p99") < 400_000, "{report}");
    assert!(micros(&report, "max") >= 495_000, "{report}");
}
