use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Program, free_address, until};

/// A Kafka broker on data of its own, from the jars that `HYBRID_KAFKA_HOME` or `KAFKA_HOME` points at.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    folder: TempDir,
    jars: PathBuf,
    process: Option<Program>,
}

impl Broker {
    /// Formats its data and starts it. Tests that call this are `ignore`d unless they are asked for, since not every machine
    /// has Kafka and Java.
    pub fn start() -> Self {
        let (before, after) = TEMPLATE.split_once(AUTO_CREATION).expect("the setting is there");
        let after = after.strip_prefix("false").expect("it is off");
        Self::start_with(&format!("{before}{AUTO_CREATION}true\nnum.partitions=4{after}"))
    }

    /// As `start`, but topics are only there once they are created.
    pub fn start_without_auto_creation() -> Self {
        Self::start_with(TEMPLATE)
    }

    fn start_with(template: &str) -> Self {
        let home = ["HYBRID_KAFKA_HOME", "KAFKA_HOME"].into_iter().find_map(std::env::var_os);
        let home = home.expect("Apache Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/");
        let (address, controller, folder) = (free_address(), free_address(), TempDir::new().unwrap());
        let mut broker = Self { address, folder, jars: PathBuf::from(home).join("libs/*"), process: None };
        let data = broker.folder.path().join("data");
        let settings = template
            .replace("{broker}", &address.to_string())
            .replace("{controller}", &controller.to_string())
            .replace("{data}", &data.to_string_lossy());
        fs::write(broker.settings(), settings).unwrap();
        let mut format = broker.java("kafka.tools.StorageTool");
        format.args(["format", "--standalone", "--cluster-id", CLUSTER, "-c"]).arg(broker.settings());
        let format = format.output().expect("Java is needed to run Kafka");
        assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
        broker.run();
        broker
    }

    /// Starts it on its data, also after `kill`, and waits until it listens.
    pub fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.java("kafka.Kafka");
        command.arg(self.settings()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(Program::spawn(&mut command));
        until("Kafka listens", || TcpStream::connect(self.address).ok());
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Sends it a signal by its name, without SIG: STOP for a broker that answers nothing, CONT for one that goes on.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// `bootstrap.servers`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(&self.jars).arg(class);
        command.current_dir(self.folder.path());
        command
    }
}

/// Any id will do.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// The settings, which the languages share.
const TEMPLATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../eng/kafka/server.properties"));
const AUTO_CREATION: &str = "auto.create.topics.enable=";
