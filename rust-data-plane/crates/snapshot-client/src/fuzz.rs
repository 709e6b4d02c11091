//! The reader of the state file meets what a disk, or another version of the software, may have left.

use contracts::hybrid::snapshot::v1::Update;
use fake_control_plane::{item, promotion, tax_rule, unknown, whole};
use harness::Fuzzer;
use prost::Message;

use crate::digest::fnv1a;
use crate::disk::{Store, StoreError, decode};
use crate::state::{ApplyError, State};

fn update() -> Update {
    let resources = vec![
        item("mug", 1050, 1),
        item("bad", -1, 2),
        tax_rule("DE", 190_000, 3),
        promotion("ten", 100_000, 4),
        unknown("x", 5),
    ];
    whole("first", 5, resources)
}

fn with_checksum(body: &[u8]) -> Vec<u8> {
    [b"hybsnap2", fnv1a(body).to_le_bytes().as_slice(), body].concat()
}

#[test]
fn fuzz_state_files_are_refused_or_come_back() {
    let mut state = State::default();
    state.apply(&[update()]).unwrap();
    let file = Store::encode("1.2.3", &state);
    assert!(decode(&file).is_ok());
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), "snapshot-file").seed(&file[16..]).run(|body| {
        assert!(matches!(decode(body), Err(StoreError::Checksum)) || body.starts_with(b"hybsnap2"));
        match decode(&with_checksum(body)) {
            Ok((software_version, state)) => {
                let (again, restored) = decode(&Store::encode(&software_version, &state)).expect("it was encoded here");
                assert_eq!(
                    (again, restored.version(), restored.digest()),
                    (software_version, state.version(), state.digest())
                );
                assert_eq!(restored.rejects().count(), state.rejects().count());
                assert_eq!(restored.snapshot().items(), state.snapshot().items());
                ("read", state.rejects().count(), state.snapshot().items())
            }
            Err(StoreError::Checksum) => ("checksum", 0, 0),
            Err(StoreError::Decode(_)) => ("decode", 0, 0),
            Err(StoreError::Apply(_)) => ("apply", 0, 0),
            Err(StoreError::Read(error)) => panic!("{error}"),
        }
    });
}

#[test]
fn fuzz_updates_lead_to_a_state_that_comes_back() {
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), "update").seed(update().encode_to_vec()).run(|input| {
        let Ok(mut update) = Update::decode(input) else { return (0, 0) };
        let mut state = State::default();
        // A node that gets this update takes it when the digest is that of what it has.
        if let Err(ApplyError::Digest { computed, .. }) = state.apply(std::slice::from_ref(&update)) {
            update.digest = computed;
            state.apply(std::slice::from_ref(&update)).expect("the digest is the one that was computed");
        }
        let (_, restored) = decode(&Store::encode("", &state)).expect("it was encoded here");
        assert_eq!((restored.version(), restored.digest()), (state.version(), state.digest()));
        assert_eq!(restored.rejects().count(), state.rejects().count());
        (1 + state.rejects().count(), state.snapshot().items() + state.snapshot().promotions())
    });
}
