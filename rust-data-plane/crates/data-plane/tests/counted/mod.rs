//! A data plane whose cost is counted: CPU time, instructions, and allocations of the whole process, librdkafka's threads included.
//! The control plane is scripted, Kafka is in memory; both live in this process and are not counted.
#![allow(dead_code, reason = "the benchmark and the test each use a part")]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteLine;
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use fake_control_plane::{ControlPlane, Session, item, promotion, tax_rule, whole};
use harness::{Program, free_address, number_after};
use kafka::mocking::MockCluster;
use tempfile::TempDir;
use tonic::transport::Channel;

const WAIT: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 4;
const CALLS_AT_ONCE: usize = 16;
/// Quotes before anything is counted.
pub(crate) const WARM_UP: usize = 1_920;

/// A data plane as a process of its own.
pub(crate) struct DataPlane {
    program: Program,
    pub(crate) grpc: SocketAddr,
    _session: Session,
    _control: ControlPlane,
    _kafka: MockCluster,
    _state: TempDir,
}

impl DataPlane {
    /// One that prices, with such settings, run by `wrapper` if that names a program.
    pub(crate) async fn start(wrapper: &[String], settings: &[(&str, &str)]) -> Self {
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
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .env_remove("QUOTE_DELAY_US")
            .envs(settings.iter().copied());
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

    /// Asks for `count` quotes of so many lines.
    pub(crate) async fn load(&self, count: usize, lines: usize) {
        let mut callers = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap();
            for _ in 0..CALLS_AT_ONCE {
                let mut client = PricingServiceClient::new(channel.clone());
                callers.push(tokio::spawn(async move {
                    for _ in 0..count / (CONNECTIONS * CALLS_AT_ONCE) {
                        client.quote(basket(lines)).await.unwrap();
                    }
                }));
            }
        }
        for caller in callers {
            caller.await.unwrap();
        }
    }

    /// CPU time so far: of the thread that serves, and of all.
    pub(crate) fn cpu(&self) -> (Duration, Duration) {
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
    pub(crate) fn finish(mut self) {
        assert!(self.program.terminate().success());
    }
}

fn basket(lines: usize) -> QuoteRequest {
    QuoteRequest {
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        lines: vec![QuoteLine { sku: "mug".into(), quantity: 3 }; lines],
        coupons: vec![],
    }
}

/// Instructions of each quote of so many lines, by a node with such settings: two runs that differ only in `more` quotes differ
/// only in their cost.
pub(crate) async fn instructions(more: usize, lines: usize, settings: &[(&str, &str)]) -> f64 {
    count("callgrind", more, lines, settings, "Collected :").await
}

/// Allocations of each quote, of C code too.
pub(crate) async fn allocations(more: usize) -> f64 {
    count("memcheck", more, 1, &[], "total heap usage:").await
}

async fn count(tool: &str, more: usize, lines: usize, settings: &[(&str, &str)], label: &str) -> f64 {
    let mut totals = Vec::new();
    for quotes in [WARM_UP, WARM_UP + more] {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{tool}.{quotes}.{lines}"));
        let wrapper =
            ["valgrind", &format!("--tool={tool}"), &format!("--log-file={}", log.display())].map(String::from);
        let mut wrapper = wrapper.to_vec();
        if tool == "callgrind" {
            wrapper.push(format!("--callgrind-out-file={}.out", log.display()));
        }
        let node = DataPlane::start(&wrapper, settings).await;
        node.load(quotes, lines).await;
        node.finish();
        totals.push(number_after(&log, label));
    }
    (totals[1] - totals[0]) / more as f64
}
