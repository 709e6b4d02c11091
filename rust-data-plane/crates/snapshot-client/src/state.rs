use std::collections::HashMap;

use contracts::hybrid::snapshot::v1::{Reject, Resource, ResourceKey, Update};
use pricing::{Edit, Invalid, Snapshot};
use prost::Message;
use thiserror::Error;

use crate::convert;
use crate::digest::Digest;

/// The tag of the field `upserts` of `Update`: number 4, with a length.
const UPSERTS: u8 = 4 << 3 | 2;

/// What a node holds: every resource that was offered to it, and the snapshot made of those that it accepted.
#[derive(Clone, Debug, Default)]
pub struct State {
    version: i64,
    digest: Digest,
    held: HashMap<Box<str>, Held>,
    snapshot: Snapshot,
}

/// One resource, encoded: a node may hold many.
#[derive(Clone, Debug)]
struct Held {
    version: i64,
    offered: Box<[u8]>,
    /// What prices quotes in place of what was offered, and why; set when the offer was rejected.
    rejected: Option<Box<Rejected>>,
}

#[derive(Clone, Debug)]
struct Rejected {
    reject: Reject,
    accepted: Option<Box<[u8]>>,
}

impl Held {
    fn accepted(&self) -> Option<&[u8]> {
        match &self.rejected {
            None => Some(&self.offered),
            Some(rejected) => rejected.accepted.as_deref(),
        }
    }
}

/// An update that does not lead to the state it names. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The sender's and our idea of the state have parted.
    #[error("after the update to version {version} the digest is {computed:016x}, not {expected:016x}")]
    #[expect(missing_docs, reason = "the message says it")]
    Digest { version: i64, computed: u64, expected: u64 },
}

impl State {
    /// Catalog version of the state.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Digest of all that was offered.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// What prices quotes.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What is rejected at present.
    pub fn rejects(&self) -> impl Iterator<Item = &Reject> {
        self.held.values().filter_map(|held| held.rejected.as_ref()).map(|rejected| &rejected.reject)
    }

    /// Applies all of an update, given in its parts, or nothing. Returns the resources of it that were rejected.
    pub fn apply(&mut self, parts: &[Update]) -> Result<Vec<Reject>, ApplyError> {
        let Some(last) = parts.last() else { return Ok(Vec::new()) };
        let mut next = Changes::new(self, parts.iter().any(|part| part.authoritative));
        for part in parts {
            for key in &part.removals {
                next.remove(key);
            }
            for resource in &part.upserts {
                next.upsert(resource);
            }
        }
        if next.digest.value() != last.digest {
            return Err(ApplyError::Digest {
                version: last.version,
                computed: next.digest.value(),
                expected: last.digest,
            });
        }
        let Changes { authoritative, digest, edit, changed, .. } = next;
        let rejects = changed
            .values()
            .flatten()
            .filter_map(|held| held.rejected.as_ref())
            .map(|rejected| rejected.reject.clone())
            .collect();
        if authoritative {
            self.held.clear();
        }
        for (path, held) in changed {
            match held {
                Some(held) => self.held.insert(path, held),
                None => self.held.remove(&path),
            };
        }
        self.version = last.version;
        self.digest = digest;
        self.snapshot = edit.finish(last.version);
        Ok(rejects)
    }

    /// Appends the whole state, encoded as one authoritative `Update`, which leads to it again.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let head = Update { version: self.version, authoritative: true, digest: self.digest(), ..Default::default() };
        to.extend_from_slice(&head.encode_to_vec());
        for held in self.held.values() {
            // The one that was accepted first, so that it holds when the other is rejected again.
            let accepted = held.rejected.as_ref().and_then(|rejected| rejected.accepted.as_deref());
            for resource in accepted.into_iter().chain([&*held.offered]) {
                to.push(UPSERTS);
                // Writing to a vector does not fail.
                let _ = prost::encode_length_delimiter(resource.len(), to);
                to.extend_from_slice(resource);
            }
        }
    }
}

/// What an update changes, beside the state that it starts from.
struct Changes<'s> {
    base: &'s State,
    authoritative: bool,
    digest: Digest,
    edit: Edit,
    /// `None` for what is removed.
    changed: HashMap<Box<str>, Option<Held>>,
}

impl<'s> Changes<'s> {
    fn new(base: &'s State, authoritative: bool) -> Self {
        let (digest, edit) = if authoritative {
            (Digest::default(), Snapshot::default().edit())
        } else {
            (base.digest, base.snapshot.edit())
        };
        Self { base, authoritative, digest, edit, changed: HashMap::new() }
    }

    /// What is in the state that is being made.
    fn current(&self, path: &str) -> Option<&Held> {
        match self.changed.get(path) {
            Some(held) => held.as_ref(),
            None if self.authoritative => None,
            None => self.base.held.get(path),
        }
    }

    fn remove(&mut self, key: &ResourceKey) {
        let Some(path) = convert::path(key) else { return };
        if let Some(version) = self.current(&path).map(|held| held.version) {
            self.digest.subtract(&path, version);
            convert::remove(&mut self.edit, key);
            self.changed.insert(path.into(), None);
        }
    }

    fn upsert(&mut self, resource: &Resource) {
        let (key, version) = match (&resource.resource, &resource.key) {
            (Some(content), _) => convert::identify(content),
            // Of a type that a newer control plane knows: not ours to price.
            (None, Some(key)) => (key.clone(), resource.version),
            (None, None) => return,
        };
        let Some(path) = convert::path(&key) else { return };
        if let Some(version) = self.current(&path).map(|held| held.version) {
            self.digest.subtract(&path, version);
        }
        self.digest.add(&path, version);
        let offered = resource.encode_to_vec().into();
        let invalid = resource.resource.as_ref().and_then(|content| convert::put(&mut self.edit, content).err());
        let rejected = invalid.map(|invalid| {
            let accepted = self.keep_last_accepted(&path);
            Box::new(Rejected { reject: reject(key, version, invalid), accepted })
        });
        self.changed.insert(path.into(), Some(Held { version, offered, rejected }));
    }

    /// A rejected resource goes on with the last version that was accepted, also when the state is made anew.
    fn keep_last_accepted(&mut self, path: &str) -> Option<Box<[u8]>> {
        let held = match self.changed.get(path) {
            Some(held) => held.as_ref(),
            None => self.base.held.get(path),
        };
        let accepted: Box<[u8]> = held?.accepted()?.into();
        let resource = Resource::decode(&*accepted).ok()?.resource?;
        // It was accepted before by the same rules.
        convert::put(&mut self.edit, &resource).ok()?;
        Some(accepted)
    }
}

fn reject(key: ResourceKey, version: i64, invalid: Invalid) -> Reject {
    Reject {
        key: Some(key),
        version,
        field: invalid.field.into(),
        code: invalid.code.into(),
        text: invalid.text.into(),
    }
}
