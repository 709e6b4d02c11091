use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be held for callers who have not sent the rest of their request, or do not take their answer. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    /// The room of which this is a part.
    whole: Option<Arc<Semaphore>>,
}

impl Room {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes)), whole: None }
    }

    /// A part of so many bytes. What is taken of it is taken of the whole as well.
    pub(crate) fn part(&self, bytes: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes)), whole: Some(Arc::clone(&self.bytes)) }
    }

    /// Takes room for so many bytes, until it is dropped; none where there is not so much.
    pub(crate) fn take(&self, bytes: usize) -> Option<Held> {
        let bytes = u32::try_from(bytes).ok()?;
        let take = |room: &Arc<Semaphore>| Arc::clone(room).try_acquire_many_owned(bytes).ok();
        let own = take(&self.bytes)?;
        let whole = match &self.whole {
            Some(whole) => Some(take(whole)?),
            None => None,
        };
        Some(Held { own, whole })
    }

    /// Bytes that are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.bytes.available_permits()
    }

    /// Whether there is no room for so many bytes.
    pub(crate) fn lacks(&self, bytes: usize) -> bool {
        self.bytes.available_permits() < bytes
    }
}

/// Room that is taken.
#[derive(Debug)]
pub(crate) struct Held {
    own: OwnedSemaphorePermit,
    whole: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Takes over what `other` holds of the same room.
    pub(crate) fn merge(&mut self, other: Self) {
        self.own.merge(other.own);
        if let (Some(whole), Some(other)) = (&mut self.whole, other.whole) {
            whole.merge(other);
        }
    }
}
