//! What one unary quote costs the data plane.
//!
//! `cargo bench --bench quote` prints the figures; instructions and allocations need valgrind, and are left out without it.
//! `cargo bench --bench quote -- serve` leaves a data plane running for other loads, until stdin ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../tests/counted/mod.rs"]
mod counted;

use std::io;
use std::time::Duration;

use counted::{DataPlane, WARM_UP, allocations, instructions};
use harness::has_valgrind;

const COUNTED: usize = 9_600;
const TIMED: usize = 192_000;

async fn time() {
    let node = DataPlane::start(&[], &[]).await;
    node.load(WARM_UP, 1).await;
    let before = node.cpu();
    node.load(TIMED, 1).await;
    let after = node.cpu();
    let each = |all: Duration| all.as_secs_f64() * 1e6 / TIMED as f64;
    println!(
        "CPU per quote           {:7.2} µs, {:.2} µs of it where it is served",
        each(after.1 - before.1),
        each(after.0 - before.0)
    );
    node.finish();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().any(|arg| arg == "serve") {
        let node = DataPlane::start(&[], &[]).await;
        println!("{}", node.grpc);
        tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await.unwrap().unwrap();
        return node.finish();
    }
    time().await;
    if !has_valgrind() {
        return println!("valgrind is not installed: instructions and allocations are not counted");
    }
    println!("instructions per quote  {:7.0}", instructions(COUNTED, 1, &[]).await);
    println!("allocations per quote   {:7.1}", allocations(COUNTED).await);
}
