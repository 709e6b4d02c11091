use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;

use crate::client::text;
use crate::error::{KafkaResult, RDKafkaErrorCode};
use crate::ffi;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// The next record to read.
    Offset(i64),
    /// Not set.
    Invalid,
}

impl Offset {
    fn raw(self) -> i64 {
        match self {
            Self::Offset(offset) => offset,
            Self::Invalid => ffi::RD_KAFKA_OFFSET_INVALID,
        }
    }
}

/// Partitions of topics, each with an offset.
pub struct TopicPartitionList(NonNull<ffi::rd_kafka_topic_partition_list_t>);

// SAFETY: a plain data structure with one owner.
unsafe impl Send for TopicPartitionList {}
// SAFETY: shared access only reads.
unsafe impl Sync for TopicPartitionList {}

impl Default for TopicPartitionList {
    fn default() -> Self {
        Self::new()
    }
}

impl TopicPartitionList {
    /// An empty list.
    pub fn new() -> Self {
        // SAFETY: returns a new list, owned here.
        Self::owned(unsafe { ffi::rd_kafka_topic_partition_list_new(4) })
    }

    fn owned(list: *mut ffi::rd_kafka_topic_partition_list_t) -> Self {
        match NonNull::new(list) {
            Some(list) => Self(list),
            // librdkafka aborts the process itself when memory is out.
            None => std::process::abort(),
        }
    }

    /// Takes a list over.
    ///
    /// # Safety
    /// `list` is a valid list that has no other owner.
    pub(crate) unsafe fn from_raw(list: *mut ffi::rd_kafka_topic_partition_list_t) -> Self {
        Self::owned(list)
    }

    /// Copies a list.
    ///
    /// # Safety
    /// `list` is a valid list.
    pub(crate) unsafe fn copied(list: *const ffi::rd_kafka_topic_partition_list_t) -> Self {
        // SAFETY: by the contract above.
        Self::owned(unsafe { ffi::rd_kafka_topic_partition_list_copy(list) })
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// Adds a partition without offset; -1 means all of the topic's.
    pub fn add_partition(&mut self, topic: &str, partition: i32) -> KafkaResult<()> {
        self.add_partition_offset(topic, partition, Offset::Invalid)
    }

    /// Adds a partition with an offset.
    pub fn add_partition_offset(&mut self, topic: &str, partition: i32, offset: Offset) -> KafkaResult<()> {
        let topic = CString::new(topic)?;
        // SAFETY: the list is ours; the returned element is part of it.
        unsafe {
            let element = ffi::rd_kafka_topic_partition_list_add(self.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset.raw();
        }
        Ok(())
    }

    /// Number of partitions.
    pub fn count(&self) -> usize {
        self.raw().len()
    }

    /// Topic, partition and offset of each.
    pub fn elements(&self) -> Vec<(String, i32, Offset)> {
        self.raw()
            .iter()
            .map(|element| {
                // SAFETY: the topic's name lives as long as the list.
                let topic = unsafe { text(element.topic) }.into_owned();
                let offset = if element.offset >= 0 { Offset::Offset(element.offset) } else { Offset::Invalid };
                (topic, element.partition, offset)
            })
            .collect()
    }

    /// The first error of a partition, where there is one.
    pub(crate) fn error(&self) -> Option<RDKafkaErrorCode> {
        self.raw().iter().map(|element| element.err).find(|&code| code != 0).map(RDKafkaErrorCode::new)
    }

    fn raw(&self) -> &[ffi::rd_kafka_topic_partition_t] {
        // SAFETY: the list is valid, and `elems` has `cnt` elements (null only when there is none).
        unsafe {
            let list = self.0.as_ref();
            if list.elems.is_null() {
                return &[];
            }
            std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
        }
    }
}

impl Drop for TopicPartitionList {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { ffi::rd_kafka_topic_partition_list_destroy(self.as_ptr()) }
    }
}

impl fmt::Debug for TopicPartitionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.elements()).finish()
    }
}
