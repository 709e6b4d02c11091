//! What a receiver's outage logs. In a process of its own, because the log is the process's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use telemetry::{Config, Service, Telemetry};

const CHILD: &str = "TELEMETRY_TEST_CHILD";

/// The program whose log is read: it exports until its stdin ends.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let service = Service { name: "child", version: "1", instance: None };
    let telemetry = Telemetry::start(Config::from_env(service));
    telemetry::init_logging(&telemetry).unwrap();
    tracing::info!("started");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    telemetry.shutdown(Duration::from_secs(5));
    tracing::info!("ended");
}

fn command(address: SocketAddr) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--nocapture"])
        .env_clear()
        .env(CHILD, "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "20")
        .env("OTEL_BLRP_SCHEDULE_DELAY", "20")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Answers one request with 200, and returns its body.
fn answer(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(text) = std::mem::take(&mut line).to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    body
}

#[test]
fn an_outage_is_one_warning_and_its_end_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut child = command(address).spawn().unwrap();
    // Many attempts fail, and then all succeed.
    for _ in 0..12 {
        drop(listener.accept().unwrap());
    }
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let warning = lines.by_ref().find(|line| line.contains("level=warn")).expect("a warning");
    assert!(warning.contains("telemetry cannot be exported") && warning.contains("connection"), "{warning}");
    let receiver = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        loop {
            let body = answer(&listener);
            if body.is_empty() {
                return bodies;
            }
            bodies.push(body);
        }
    });
    let next = lines.next().unwrap();
    assert!(next.contains("level=info") && next.contains("telemetry is exported again"), "{next}");

    drop(child.stdin.take());
    let rest: Vec<_> = lines.collect();
    assert!(rest.len() == 1 && rest[0].contains("msg=ended"), "{rest:?}");
    assert!(child.wait().unwrap().success());
    // An empty request ends the receiver.
    std::net::TcpStream::connect(address).unwrap().write_all(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n").unwrap();
    let bodies = receiver.join().unwrap();
    let mentions = |text: &str| bodies.iter().any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(!bodies.is_empty());
    assert!(!mentions("telemetry cannot be exported") && !mentions("telemetry is exported again"));
}

#[test]
fn bad_values_are_a_warning_each_and_the_program_starts() {
    let mut command = command(SocketAddr::from(([127, 0, 0, 1], 1)));
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")
        .env("OTEL_TRACES_SAMPLER", "sometimes")
        .env("OTEL_BSP_SCHEDULE_DELAY", "soon");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("level=warn")).collect();
    assert_eq!(warnings.len(), 3, "{log}");
    for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_BSP_SCHEDULE_DELAY"] {
        assert!(warnings.iter().any(|line| line.contains(variable)), "{log}");
    }
    assert!(log.contains("msg=started") && log.contains("msg=ended"), "{log}");
}
