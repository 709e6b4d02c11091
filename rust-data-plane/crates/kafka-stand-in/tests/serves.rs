//! The program as AppHost starts it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kafka::consumer::BaseConsumer;
use kafka::producer::{BaseProducer, BaseRecord, Producer};
use kafka::{ClientConfig, Message};

const WAIT: Duration = Duration::from_secs(30);

#[test]
fn records_pass_through_its_port_until_sigterm_ends_it() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = env!("CARGO_BIN_EXE_kafka-stand-in");
    let mut child = Command::new(program).arg(port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let mut listens = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut listens).unwrap();
    assert!(listens.contains(&format!("127.0.0.1:{port}")), "{listens}");

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::to("made-when-used").payload(b"value")).unwrap();
    producer.flush(WAIT).unwrap();
    config.set("group.id", "g").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&["made-when-used"]).unwrap();
    let until = Instant::now() + WAIT;
    let message = loop {
        assert!(Instant::now() < until, "the record did not come");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            break message.detach();
        }
    };
    assert_eq!(message.payload(), Some(&b"value"[..]));
    // While there is a broker to leave the group at.
    drop(consumer);

    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn anything_but_a_port_is_refused() {
    for arguments in [&[][..], &["0"], &["65536"], &["kafka"], &["7092", "7093"]] {
        let refused = Command::new(env!("CARGO_BIN_EXE_kafka-stand-in")).args(arguments).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().starts_with("usage: "));
    }
}
