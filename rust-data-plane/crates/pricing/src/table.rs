//! A hash table that is cheap to copy: copies share what they do not change.

use std::sync::Arc;

use hashbrown::HashTable;

/// Enough that a change copies little of a large catalog, few enough that a copy of the table itself costs little.
const SHARDS: usize = 256;

/// What lies in a table under its own name.
pub(crate) trait Keyed {
    fn key(&self) -> &str;
}

#[derive(Debug)]
pub(crate) struct Table<T> {
    shards: Box<[Arc<HashTable<Entry<T>>>]>,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    value: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, value: Arc::clone(&self.value) }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), len: self.len }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        Self { shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(), len: 0 }
    }
}

impl<T: Keyed> Table<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, hash: u64, key: &str) -> Option<&Arc<T>> {
        self.shards[shard(hash)].find(hash, matches(hash, key)).map(|entry| &entry.value)
    }

    /// Puts `value` in, in the place of what had its key.
    pub(crate) fn put(&mut self, hash: u64, value: Arc<T>) -> Option<Arc<T>> {
        let table = Arc::make_mut(&mut self.shards[shard(hash)]);
        if let Some(entry) = table.find_mut(hash, matches(hash, value.key())) {
            return Some(std::mem::replace(&mut entry.value, value));
        }
        table.insert_unique(hash, Entry { hash, value }, |entry| entry.hash);
        self.len += 1;
        None
    }

    pub(crate) fn remove(&mut self, hash: u64, key: &str) -> Option<Arc<T>> {
        self.get(hash, key)?;
        let table = Arc::make_mut(&mut self.shards[shard(hash)]);
        let (entry, _) = table.find_entry(hash, matches(hash, key)).ok()?.remove();
        self.len -= 1;
        Some(entry.value)
    }
}

/// The low bits place an entry within its shard, and the highest mark it there.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

fn matches<T: Keyed>(hash: u64, key: &str) -> impl Fn(&Entry<T>) -> bool {
    move |entry| entry.hash == hash && entry.value.key() == key
}
