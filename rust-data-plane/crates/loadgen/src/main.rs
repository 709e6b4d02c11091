//! Sends quotes to data planes at a constant rate, and prints what became of them.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use loadgen::{Cli, Plan, Progress, Report, run};
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    let plan = Cli::parse().plan().unwrap_or_else(|error| error.exit());
    match load(plan).and_then(|report| print(&report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves the exit code.
            let _ = writeln!(io::stderr(), "loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn load(plan: Plan) -> io::Result<Report> {
    let (signals, mut stops) = tokio::sync::watch::channel(0);
    let mut abandons = stops.clone();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        while either(&mut term, &mut int).await {
            signals.send_modify(|count| *count += 1);
        }
    });
    let stop = async { drop(stops.wait_for(|&count| count >= 1).await) };
    let abandon = async { drop(abandons.wait_for(|&count| count >= 2).await) };
    run(plan, stop, abandon, |progress: &Progress| {
        // A closed stderr does not end the run.
        let _ = writeln!(io::stderr(), "{progress}");
    })
    .await
}

async fn either(one: &mut Signal, other: &mut Signal) -> bool {
    tokio::select! {
        signal = one.recv() => signal.is_some(),
        signal = other.recv() => signal.is_some(),
    }
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}
