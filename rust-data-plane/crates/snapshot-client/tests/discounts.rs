//! A node that has had no news for long grants no discount.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
// Each test program uses a part of it.
#[allow(dead_code)]
mod node;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use contracts::hybrid::snapshot::v1::Heartbeat;
use fake_control_plane::{ControlPlane, item, promotion, tax_rule, whole};
use node::{Running, until};

const PATIENCE: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn discounts_end_without_news_and_come_back_with_it() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::launch("test", &control.url(), folder.path(), PATIENCE);
    let state = vec![item("mug", 1000, 1), tax_rule("DE", 0, 2), promotion("ten", 100_000, 3)];
    let digest = whole("", 3, state.clone()).digest;
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    session.update(whole("first", 3, state)).await.unwrap();
    session.ack().await.unwrap();
    // Heartbeats are news.
    for _ in 0..3 {
        session.heartbeat().await.unwrap();
        session.beat(3, digest).await.unwrap();
        assert_eq!((node.price("mug"), node.snapshots.discounts_suspended()), (Ok(900), false));
    }
    // A stream on which nothing confirms the state is none.
    session.beat(4, 1).await.unwrap();
    until("discounts are suspended", || node.price("mug") == Ok(1000)).await;
    assert!(node.snapshots.discounts_suspended());
    session.beat(3, digest).await.unwrap();
    until("discounts are granted again", || node.price("mug") == Ok(900)).await;
    assert!(!node.snapshots.discounts_suspended());

    let address = control.address();
    drop((session, control));
    until("discounts are suspended", || node.price("mug") == Ok(1000)).await;
    let control = ControlPlane::listen(address).await.unwrap();
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    // A change that comes meanwhile keeps the promotions apart from it.
    let state = vec![item("mug", 2000, 4), tax_rule("DE", 0, 2), promotion("ten", 100_000, 3)];
    session.update(whole("second", 4, state)).await.unwrap();
    session.ack().await.unwrap();
    assert_eq!(node.price("mug"), Ok(1800));
    node.stop().await;

    // After a restart the age of what lies on disk counts.
    let nobody = "http://127.0.0.1:1";
    let file = folder.path().join("snapshot.bin");
    set_time(&file, SystemTime::now() - Duration::from_secs(3600));
    let node = Running::launch("test", nobody, folder.path(), Duration::from_secs(300));
    assert_eq!((node.price("mug"), node.snapshots.discounts_suspended()), (Ok(2000), true));
    node.stop().await;
    set_time(&file, SystemTime::now() - Duration::from_secs(60));
    let node = Running::launch("test", nobody, folder.path(), Duration::from_secs(300));
    assert_eq!((node.price("mug"), node.snapshots.discounts_suspended()), (Ok(1800), false));
    node.stop().await;
}

#[tokio::test]
async fn discounts_end_when_the_ledger_stands_still_though_the_catalog_is_confirmed() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::launch("test", &control.url(), folder.path(), PATIENCE);
    let state = vec![item("mug", 1000, 1), tax_rule("DE", 0, 2), promotion("ten", 100_000, 3)];
    let digest = whole("", 3, state.clone()).digest;
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    session.update(whole("first", 3, state.clone())).await.unwrap();
    session.ack().await.unwrap();
    let beat = async |age: Duration| {
        let ledger_age = Some(age.try_into().unwrap());
        session.beat_of(Heartbeat { version: 3, digest, sent_at: None, ledger_age }).await.unwrap();
    };
    beat(PATIENCE * 2).await;
    until("discounts are suspended", || node.price("mug") == Ok(1000)).await;
    beat(PATIENCE / 2).await;
    until("discounts are granted again", || node.price("mug") == Ok(900)).await;
    // A heartbeat that says how old the ledger is gives no more time than that leaves.
    beat(PATIENCE * 9 / 10).await;
    let named = Instant::now();
    until("discounts are suspended", || node.price("mug") == Ok(1000)).await;
    assert!(named.elapsed() < PATIENCE / 2, "{:?}", named.elapsed());

    // An update that comes before the first heartbeat of a stream changes nothing of that.
    beat(PATIENCE * 2).await;
    let state = [state, vec![item("pen", 500, 4)]].concat();
    session.update(whole("second", 4, state)).await.unwrap();
    session.ack().await.unwrap();
    assert_eq!((node.price("pen"), node.snapshots.discounts_suspended()), (Ok(500), true));
    node.stop().await;
}

fn set_time(file: &Path, at: SystemTime) {
    File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
}
