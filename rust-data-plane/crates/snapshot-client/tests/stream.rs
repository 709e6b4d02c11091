//! A node against a control plane that follows a script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

// Each test program uses a part of it.
#[allow(dead_code)]
mod node;

use contracts::hybrid::snapshot::v1::{ResourceKey, ResourceType, Update};
use fake_control_plane::{ControlPlane, digest, item, tax_rule, whole};
use node::{Running, bring_up, until};
use tonic::Status;

#[tokio::test]
async fn deltas_change_what_they_name() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    assert_eq!(node.price("mug"), Err("SNAPSHOT_MISSING"));
    let mut session = bring_up(&control).await;
    assert_eq!(node.price("mug"), Ok(1000));
    assert!(!node.snapshots.is_stale());

    session
        .update(Update {
            nonce: "second".into(),
            version: 4,
            upserts: vec![item("pen", 150, 4)],
            removals: vec![ResourceKey { r#type: ResourceType::Item.into(), name: "mug".into() }],
            digest: digest(&[("item/pen", 4), ("tax_rule/DE/standard", 2)]),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(session.ack().await.unwrap().version, 4);
    assert_eq!((node.price("mug"), node.price("pen")), (Err("SKU_UNKNOWN"), Ok(150)));

    // What an authoritative update does not name is gone.
    session.update(whole("third", 5, vec![item("cup", 5, 5), tax_rule("DE", 0, 2)])).await.unwrap();
    session.ack().await.unwrap();
    assert_eq!((node.price("pen"), node.price("cup")), (Err("SKU_UNKNOWN"), Ok(5)));
    assert_eq!(session.heartbeat().await.unwrap().version, 5);
    node.stop().await;
}

#[tokio::test]
async fn a_bad_resource_is_reported_and_hides_none() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let mut session = bring_up(&control).await;
    session
        .update(Update {
            nonce: "second".into(),
            version: 4,
            upserts: vec![item("mug", -1, 3), item("pen", 150, 4)],
            digest: digest(&[("item/mug", 3), ("item/pen", 4), ("tax_rule/DE/standard", 2)]),
            ..Default::default()
        })
        .await
        .unwrap();
    let ack = session.ack().await.unwrap();
    let [reject] = &ack.rejects[..] else { panic!("{ack:?}") };
    assert_eq!((reject.version, reject.key.as_ref().unwrap().name.as_str()), (3, "mug"));
    assert_eq!((reject.field.as_str(), reject.code.as_str()), ("unit_price.minor_units", "PRICE_OUT_OF_RANGE"));
    assert_eq!((node.price("mug"), node.price("pen")), (Ok(1000), Ok(150)));
    assert_eq!((node.snapshots.rejected(), node.snapshots.rejects()), (1, 1));
    node.stop().await;

    // Also after a restart the last accepted version goes on, and the digest covers what was offered.
    let node = Running::start(&control.url(), folder.path());
    assert_eq!((node.price("mug"), node.snapshots.rejected()), (Ok(1000), 1));
    let mut session = control.accept().await.unwrap();
    let hello = session.hello().await.unwrap();
    assert_eq!((hello.held_version, hello.held_digest), (4, ack.digest));

    // And when the whole state is sent again with the bad version in it.
    let state = vec![item("mug", -1, 3), item("pen", 150, 4), tax_rule("DE", 0, 2)];
    session.update(whole("again", 4, state)).await.unwrap();
    assert_eq!(session.ack().await.unwrap().rejects.len(), 1);
    assert_eq!(node.price("mug"), Ok(1000));
    node.stop().await;
}

#[tokio::test]
async fn parts_are_applied_together() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let mut session = bring_up(&control).await;
    let all = [("item/mug", 3), ("item/pen", 4), ("tax_rule/DE/standard", 2)];
    let part = |upserts, more_follows| Update {
        nonce: "parts".into(),
        version: 4,
        upserts,
        digest: digest(&all),
        more_follows,
        ..Default::default()
    };
    session.update(part(vec![item("mug", 1, 3)], true)).await.unwrap();
    session.beat(4, digest(&all)).await.unwrap();
    until("the offer was seen", || node.snapshots.offered_version() == 4).await;
    assert_eq!((node.price("mug"), node.snapshots.applied_version()), (Ok(1000), 2));
    session.update(part(vec![item("pen", 2, 4)], false)).await.unwrap();
    assert_eq!(session.ack().await.unwrap().nonce, "parts");
    assert_eq!((node.price("mug"), node.price("pen")), (Ok(1), Ok(2)));
    node.stop().await;
}

#[tokio::test]
async fn a_state_that_has_parted_is_asked_for_anew_while_quotes_go_on() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let session = bring_up(&control).await;
    let wrong =
        Update { nonce: "x".into(), version: 3, upserts: vec![item("mug", 1, 3)], digest: 1, ..Default::default() };
    session.update(wrong).await.unwrap();
    let mut session = control.accept().await.unwrap();
    assert!(session.hello().await.unwrap().whole);
    assert_eq!(node.price("mug"), Ok(1000));
    session.update(whole("anew", 3, vec![item("mug", 1, 3), tax_rule("DE", 0, 2)])).await.unwrap();
    session.ack().await.unwrap();
    assert_eq!(node.price("mug"), Ok(1));

    // A heartbeat that names another digest for the same version says the same.
    session.beat(3, 1).await.unwrap();
    assert!(control.accept().await.unwrap().hello().await.unwrap().whole);
    node.stop().await;
}

#[tokio::test]
async fn every_end_of_a_stream_leads_to_another() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    drop(bring_up(&control).await);
    let mut session = control.accept().await.unwrap();
    assert_eq!(session.hello().await.unwrap().held_version, 2);
    session.fail(Status::resource_exhausted("paced")).await.unwrap();

    // Silence: the session is held, but says nothing.
    let silent = control.accept().await.unwrap();
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    drop(silent);

    // A crash, a while without anybody, and a restart at the same address.
    let address = control.address();
    drop(session);
    drop(control);
    until("it is stale", || node.snapshots.is_stale()).await;
    assert_eq!(node.price("mug"), Ok(1000));
    let control = ControlPlane::listen(address).await.unwrap();
    let mut session = control.accept().await.unwrap();
    let hello = session.hello().await.unwrap();
    session.beat(hello.held_version, hello.held_digest).await.unwrap();
    until("it is confirmed", || !node.snapshots.is_stale()).await;
    node.stop().await;
}

#[tokio::test]
async fn starts_from_disk_without_a_control_plane() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let url = control.url();
    let node = Running::start(&url, folder.path());
    let session = bring_up(&control).await;
    let file = folder.path().join("snapshot.bin");
    until("it was saved", || file.exists()).await;
    // As after a kill: nothing more is saved.
    node.task.abort();
    drop((session, control));

    let node = Running::start(&url, folder.path());
    assert_eq!((node.price("mug"), node.snapshots.applied_version()), (Ok(1000), 2));
    assert!(node.snapshots.is_stale() && node.snapshots.age().is_some());
    node.stop().await;
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside() {
    let (control, folder) = (ControlPlane::start().await.unwrap(), tempfile::tempdir().unwrap());
    let node = Running::start(&control.url(), folder.path());
    let _session = bring_up(&control).await;
    node.stop().await;
    let file = folder.path().join("snapshot.bin");
    let good = std::fs::read(&file).unwrap();
    let flipped = good.iter().enumerate().map(|(at, byte)| if at == good.len() / 2 { byte ^ 1 } else { *byte });
    for bad in [flipped.collect(), good[..good.len() - 1].to_vec(), b"short".to_vec(), Vec::new()] {
        std::fs::write(&file, &bad).unwrap();
        let node = Running::start(&control.url(), folder.path());
        assert_eq!(node.price("mug"), Err("SNAPSHOT_MISSING"));
        assert_eq!(std::fs::read(folder.path().join("snapshot.bin.corrupt")).unwrap(), bad);
        node.task.abort();
    }
}
