//! What one unary quote costs the data plane: CPU time, instructions, and allocations of the whole process, librdkafka's
//! threads included. The control plane is scripted, Kafka is in memory; both live in this process and are not counted.
//!
//! `cargo bench --bench quote` prints the figures; instructions and allocations need valgrind, and are left out without it.
//! `cargo bench --bench quote -- serve` leaves a data plane running for other loads, until stdin ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteRequest};
use fake_control_plane::{ControlPlane, Session, item, promotion, tax_rule, whole};
use harness::{Program, free_address};
use kafka::mocking::MockCluster;
use tempfile::TempDir;
use tonic::transport::Channel;

const WAIT: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 4;
const CALLS_AT_ONCE: usize = 16;
/// Before anything is counted.
const WARM_UP: usize = 1_920;
/// Two runs that differ only in this many quotes differ only in their cost.
const COUNTED: usize = 9_600;
const TIMED: usize = 192_000;

struct DataPlane {
    program: Program,
    grpc: SocketAddr,
    _session: Session,
    _control: ControlPlane,
    _kafka: MockCluster,
    _state: TempDir,
}

impl DataPlane {
    /// One that prices, run by `wrapper` if that names a program.
    async fn start(wrapper: &[String]) -> Self {
        let control = ControlPlane::start().await.unwrap();
        let kafka = MockCluster::new(1).unwrap();
        kafka.create_topic("hybrid.quotes.v1", 4, 1).unwrap();
        let (http, grpc, state) = (free_address(), free_address(), tempfile::tempdir().unwrap());
        let words = wrapper.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_data-plane")]).collect::<Vec<_>>();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("NODE_ID", "node-1")
            .env("HTTP_PORT", http.port().to_string())
            .env("GRPC_PORT", grpc.port().to_string())
            .env("STATE_DIR", state.path())
            .env("CONTROL_PLANE_GRPC", control.url())
            .env("ConnectionStrings__kafka", kafka.bootstrap_servers())
            .env("WORKER_THREADS", "1")
            .env("LOG_LEVEL", "warn")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        let program = Program::spawn(&mut command);
        let mut session = control.accept().await.unwrap();
        session.hello().await.unwrap();
        let resources =
            vec![item("mug", 1050, 1), item("pen", 199, 2), tax_rule("DE", 190_000, 3), promotion("ten", 100_000, 4)];
        let update = whole("first", 4, resources);
        let digest = update.digest;
        session.update(update).await.unwrap();
        session.ack().await.unwrap();
        session.keep_alive(4, digest);
        let until = Instant::now() + WAIT;
        while TcpStream::connect(grpc).is_err() {
            assert!(Instant::now() < until, "it does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { program, grpc, _session: session, _control: control, _kafka: kafka, _state: state }
    }

    /// Asks for `count` quotes.
    async fn load(&self, count: usize) {
        let mut callers = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap();
            for _ in 0..CALLS_AT_ONCE {
                let mut client = PricingServiceClient::new(channel.clone());
                callers.push(tokio::spawn(async move {
                    for _ in 0..count / (CONNECTIONS * CALLS_AT_ONCE) {
                        client.quote(basket()).await.unwrap();
                    }
                }));
            }
        }
        for caller in callers {
            caller.await.unwrap();
        }
    }

    /// CPU time so far: of the thread that serves, and of all.
    fn cpu(&self) -> (Duration, Duration) {
        let (mut serving, mut all) = (Duration::ZERO, Duration::ZERO);
        for task in fs::read_dir(format!("/proc/{}/task", self.program.id())).unwrap() {
            let task = task.unwrap().path();
            let run = fs::read_to_string(task.join("schedstat")).unwrap();
            let run = Duration::from_nanos(run.split(' ').next().unwrap().parse().unwrap());
            all += run;
            if fs::read_to_string(task.join("comm")).unwrap().starts_with("worker") {
                serving += run;
            }
        }
        (serving, all)
    }

    /// Ends it as an operator would: its events are flushed first.
    fn finish(mut self) {
        assert!(self.program.terminate().success());
    }
}

fn basket() -> QuoteRequest {
    QuoteRequest {
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        lines: vec![QuoteLine { sku: "mug".into(), quantity: 3 }],
        coupons: vec![],
    }
}

async fn time() {
    let node = DataPlane::start(&[]).await;
    node.load(WARM_UP).await;
    let before = node.cpu();
    node.load(TIMED).await;
    let after = node.cpu();
    let each = |all: Duration| all.as_secs_f64() * 1e6 / TIMED as f64;
    println!(
        "CPU per quote           {:7.2} µs, {:.2} µs of it where it is served",
        each(after.1 - before.1),
        each(after.0 - before.0)
    );
    node.finish();
}

/// What `count` more quotes add to what `tool` counts, for each of them.
async fn count(tool: &str, counted: impl Fn(&Path) -> f64) -> f64 {
    let mut totals = Vec::new();
    for quotes in [WARM_UP, WARM_UP + COUNTED] {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{tool}.{quotes}"));
        let wrapper =
            ["valgrind", &format!("--tool={tool}"), &format!("--log-file={}", log.display())].map(String::from);
        let mut wrapper = wrapper.to_vec();
        if tool == "callgrind" {
            wrapper.push(format!("--callgrind-out-file={}", log.with_extension(format!("{quotes}.out")).display()));
        }
        let node = DataPlane::start(&wrapper).await;
        node.load(quotes).await;
        node.finish();
        totals.push(counted(&log));
    }
    (totals[1] - totals[0]) / COUNTED as f64
}

/// The number after `label` in valgrind's closing lines.
fn number_after(log: &Path, label: &str) -> f64 {
    let text = fs::read_to_string(log).unwrap();
    let (_, rest) = text.split_once(label).expect("valgrind's closing lines");
    let digits: String = rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().any(|arg| arg == "serve") {
        let node = DataPlane::start(&[]).await;
        println!("{}", node.grpc);
        tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await.unwrap().unwrap();
        return node.finish();
    }
    time().await;
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return println!("valgrind is not installed: instructions and allocations are not counted");
    }
    let instructions = count("callgrind", |log| number_after(log, "Collected :")).await;
    println!("instructions per quote  {instructions:7.0}");
    let allocations = count("memcheck", |log| number_after(log, "total heap usage:")).await;
    println!("allocations per quote   {allocations:7.1}");
}
