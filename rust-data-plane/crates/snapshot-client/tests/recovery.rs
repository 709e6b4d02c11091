//! What a node keeps, and asks for, when streams break, ideas of the state part, or its build changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

// Each test program uses a part of it.
#[allow(dead_code)]
mod node;

use std::time::Duration;

use contracts::hybrid::snapshot::v1::{Progress, ResourceKey, ResourceType, Update};
use fake_control_plane::{ControlPlane, SlowLink, UNKNOWN_TYPE, digest, item, tax_rule, unknown, whole};
use node::{Running, bring_up, until};

/// A message that takes longer than three heartbeats is no silence while pieces of it arrive.
#[tokio::test]
async fn a_slow_link_is_not_a_dead_one() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let link = SlowLink::start(control.address(), 10_000).await.unwrap();
    let node = Running::start(&link.url(), folder.path());
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let mut large = item("mug", 1000, 1);
    if let Some(contracts::hybrid::snapshot::v1::resource::Resource::Item(item)) = &mut large.resource {
        item.name = "x".repeat(50_000);
    }
    session.update(whole("first", 2, vec![large, tax_rule("DE", 0, 2)])).await.unwrap();
    assert_eq!(session.ack().await.unwrap().version, 2);
    assert_eq!(node.price("mug"), Ok(1000));
    node.stop().await;
}

/// Parts that arrived before the stream broke are not asked for again.
#[tokio::test]
async fn kept_parts_are_continued() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let all = [("item/cup", 1), ("item/mug", 1), ("item/pen", 3), ("tax_rule/DE/standard", 2)];
    let through = |name: &str| {
        let through = Some(ResourceKey { r#type: ResourceType::Item.into(), name: name.into() });
        Progress { version: 2, digest: 7, authoritative: true, through }
    };
    let part = |nonce: &str, upserts, more_follows, progress, resumes| Update {
        nonce: nonce.into(),
        version: 3,
        digest: digest(&all),
        authoritative: true,
        upserts,
        more_follows,
        progress,
        resumes,
        ..Default::default()
    };
    let mut session = control.accept().await.unwrap();
    assert_eq!(session.hello().await.unwrap().partial, None);
    session.update(part("a", vec![item("cup", 1, 1)], true, Some(through("cup")), false)).await.unwrap();
    session.update(part("a", vec![item("mug", 2, 1)], true, Some(through("mug")), false)).await.unwrap();
    session.update(part("a", vec![item("nib", 2, 1)], true, None, false)).await.unwrap();
    session.beat(2, 7).await.unwrap();
    until("the offer was seen", || node.snapshots.offered_version() == 2).await;
    drop(session);

    let mut session = control.accept().await.unwrap();
    let hello = session.hello().await.unwrap();
    assert_eq!((hello.held_version, hello.partial), (0, Some(through("mug"))));
    // What has changed in the kept parts comes first, and does not move the progress before it is complete.
    let gone = Update {
        removals: vec![ResourceKey { r#type: ResourceType::Item.into(), name: "nib".into() }],
        ..part("b", vec![], true, None, true)
    };
    session.update(gone).await.unwrap();
    session.beat(3, 7).await.unwrap();
    until("the offer was seen", || node.snapshots.offered_version() == 3).await;
    drop(session);
    let mut session = control.accept().await.unwrap();
    assert_eq!(session.hello().await.unwrap().partial, Some(through("mug")));
    session.update(part("c", vec![item("pen", 3, 3), tax_rule("DE", 0, 2)], false, None, true)).await.unwrap();
    let ack = session.ack().await.unwrap();
    assert_eq!((ack.nonce.as_str(), ack.digest), ("c", digest(&all)));
    assert_eq!((node.price("cup"), node.price("mug"), node.price("pen")), (Ok(1), Ok(2), Ok(3)));

    // Nothing is kept of an update that was completed, or that another one replaced.
    session.update(part("d", vec![item("nib", 2, 1)], true, Some(through("nib")), false)).await.unwrap();
    let upserts = vec![item("cup", 9, 9), tax_rule("DE", 0, 2)];
    session.update(whole("e", 9, upserts)).await.unwrap();
    session.ack().await.unwrap();
    drop(session);
    assert_eq!(control.accept().await.unwrap().hello().await.unwrap().partial, None);
    assert_eq!((node.price("cup"), node.price("nib")), (Ok(9), Err("SKU_UNKNOWN")));
    node.stop().await;
}

/// A digest that differs asks for the whole, and loses no version that was accepted.
#[tokio::test]
async fn parted_states_keep_what_was_accepted() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let mut session = bring_up(&control).await;
    let bad = vec![item("mug", -1, 3), tax_rule("DE", 0, 2)];
    session.update(whole("bad", 3, bad.clone())).await.unwrap();
    assert_eq!(session.ack().await.unwrap().rejects.len(), 1);
    session.beat(3, 1).await.unwrap();

    let mut session = control.accept().await.unwrap();
    let hello = session.hello().await.unwrap();
    assert!(hello.whole);
    session.update(whole("again", 3, bad)).await.unwrap();
    assert_eq!(session.ack().await.unwrap().rejects.len(), 1);
    assert_eq!(node.price("mug"), Ok(1000));
    drop(session);
    assert!(!control.accept().await.unwrap().hello().await.unwrap().whole, "the whole has come");
    node.stop().await;
}

/// A newer control plane may send types that this build does not know: they count, but price nothing.
#[tokio::test]
async fn unknown_types_are_held_for_the_digest() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let state = vec![item("mug", 1000, 1), tax_rule("DE", 0, 2), unknown("x", 2), unknown("y", 2)];
    session.update(whole("first", 2, state)).await.unwrap();
    let ack = session.ack().await.unwrap();
    assert_eq!((ack.version, ack.rejects.len()), (2, 0));
    let rest = [("item/mug", 1), ("tax_rule/DE/standard", 2), ("99/x", 3)];
    session
        .update(Update {
            nonce: "second".into(),
            version: 3,
            upserts: vec![unknown("x", 3)],
            removals: vec![ResourceKey { r#type: UNKNOWN_TYPE, name: "y".into() }],
            digest: digest(&rest),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(session.ack().await.unwrap().digest, digest(&rest));
    drop(session);
    node.stop().await;
    let node = Running::start(&control.url(), folder.path());
    let mut session = control.accept().await.unwrap();
    let mut hello = session.hello().await.unwrap();
    if hello.held_version == 0 || hello.held_digest == 0 {
        // The node that was stopped had connected once more.
        hello = control.accept().await.unwrap().hello().await.unwrap();
    }
    assert_eq!((hello.held_version, hello.held_digest, node.price("mug")), (3, digest(&rest), Ok(1000)));
    node.stop().await;
}

/// Another build starts with what lies on disk, but asks for all of it, because its forerunner may have dropped what it knows.
#[tokio::test]
async fn another_build_asks_for_the_whole() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::build("one", &control.url(), folder.path());
    let session = bring_up(&control).await;
    node.stop().await;
    drop(session);
    let node = Running::build("two", &control.url(), folder.path());
    assert_eq!(node.price("mug"), Ok(1000));
    let mut session = control.accept().await.unwrap();
    let hello = session.hello().await.unwrap();
    assert_eq!((hello.software_version.as_str(), hello.held_version, hello.whole), ("two", 2, true));
    session.update(whole("first", 2, vec![item("mug", 1000, 1), tax_rule("DE", 0, 2)])).await.unwrap();
    session.ack().await.unwrap();
    node.stop().await;
    let node = Running::build("two", &control.url(), folder.path());
    assert!(!control.accept().await.unwrap().hello().await.unwrap().whole);
    node.stop().await;
}

/// The first Ack of a stream lists all rejects, also those that the update does not name, in parts that any receiver takes.
#[tokio::test]
async fn many_rejects_are_reported_after_a_restart() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let state: Vec<_> = (0..8_000).map(|n| item(&format!("{n:064}"), -1, 2)).collect();
    for part in state.chunks(1_000) {
        let last = part.last() == state.last();
        session
            .update(Update { upserts: part.to_vec(), more_follows: !last, ..whole("first", 2, state.clone()) })
            .await
            .unwrap();
    }
    let first = session.ack().await.unwrap();
    assert_eq!(first.rejects.len(), 8_000);
    node.stop().await;

    let node = Running::start(&control.url(), folder.path());
    let mut session = control.accept().await.unwrap();
    let hello = session.hello().await.unwrap();
    assert_eq!((hello.held_version, hello.held_digest), (2, first.digest));
    let nothing = Update { nonce: "none".into(), version: 2, digest: first.digest, ..Default::default() };
    session.update(nothing.clone()).await.unwrap();
    let mut rejects = 0;
    loop {
        let part = session.ack_part().await.unwrap();
        assert!(part.rejects.len() <= 64 && part.nonce == "none" && part.digest == first.digest);
        rejects += part.rejects.len();
        if !part.more_follows {
            break;
        }
    }
    assert_eq!((rejects, node.snapshots.rejected()), (8_000, 8_000));
    session.update(Update { nonce: "more".into(), ..nothing }).await.unwrap();
    assert_eq!(session.ack().await.unwrap().rejects.len(), 0, "a later Ack speaks of its own update");
    node.stop().await;
}

/// A node that knows of a newer version than it holds says that it is stale.
#[tokio::test]
async fn a_newer_version_makes_it_stale() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let session = bring_up(&control).await;
    assert!(!node.snapshots.is_stale());
    session.beat(3, 1).await.unwrap();
    until("it is stale", || node.snapshots.is_stale()).await;
    session.beat(2, digest(&[("item/mug", 1), ("tax_rule/DE/standard", 2)])).await.unwrap();
    until("it is confirmed", || !node.snapshots.is_stale()).await;
    node.stop().await;
}

/// A disk that hangs holds up neither the stream nor the end.
#[tokio::test]
async fn a_hanging_disk_does_not_end_the_stream() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    // Opening a pipe to write waits for a reader, who never comes.
    let pipe = folder.path().join("snapshot.bin.next");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut session = bring_up(&control).await;
    let all = digest(&[("item/mug", 1), ("tax_rule/DE/standard", 2)]);
    for _ in 0..3 {
        session.beat(2, all).await.unwrap();
        session.heartbeat().await.unwrap();
    }
    session.update(whole("second", 3, vec![item("mug", 5, 3), tax_rule("DE", 0, 2)])).await.unwrap();
    assert_eq!(session.ack().await.unwrap().version, 3);
    tokio::time::timeout(Duration::from_secs(15), node.stop()).await.expect("the node did not stop");
}
