//! Takes the place of Kafka where there is none: librdkafka's mock cluster, in memory, behind one stable port.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use kafka::mocking::MockCluster;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str =
    "usage: kafka-stand-in PORT\n\nServes Kafka's protocol from memory on 127.0.0.1:PORT until SIGTERM.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(Ok(port @ 1..)), None) = (arguments.next().map(|port| port.parse()), arguments.next()) else {
        say(USAGE);
        return ExitCode::from(2);
    };
    match serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("kafka-stand-in: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // A closed stderr leaves the exit code.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The mock cluster picks its port itself, so the stable one forwards to it. Clients learn the broker's own port from its
/// metadata, so only their first connection comes through here.
#[tokio::main(flavor = "current_thread")]
async fn serve(port: u16) -> io::Result<()> {
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cluster = MockCluster::new(1).map_err(io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!(
        "Kafka's in-memory stand-in listens on 127.0.0.1:{port}. Nothing survives its end, and each partition keeps only its newest 5 MB."
    );
    loop {
        tokio::select! {
            accepted = listener.accept() => drop(tokio::spawn(forward(accepted?.0, cluster.bootstrap_servers()))),
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
        }
    }
}

/// Whichever end goes away takes the other with it.
async fn forward(mut client: TcpStream, broker: String) -> io::Result<()> {
    tokio::io::copy_bidirectional(&mut client, &mut TcpStream::connect(broker).await?).await?;
    Ok(())
}
