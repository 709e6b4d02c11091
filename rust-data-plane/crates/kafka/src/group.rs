use std::ptr::NonNull;

use crate::ffi;

/// A member of a group, at one generation.
pub struct ConsumerGroupMetadata(NonNull<ffi::rd_kafka_consumer_group_metadata_t>);

// SAFETY: a plain data structure with one owner.
unsafe impl Send for ConsumerGroupMetadata {}

impl ConsumerGroupMetadata {
    /// Takes metadata over, which has no other owner.
    pub(crate) fn new(metadata: NonNull<ffi::rd_kafka_consumer_group_metadata_t>) -> Self {
        Self(metadata)
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }
}

impl Drop for ConsumerGroupMetadata {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { ffi::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}
