use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;

use crate::error::{KafkaResult, RDKafkaErrorCode};
use crate::ffi;
use crate::native::text;

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

/// A partition of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named for what they are")]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
    pub offset: Offset,
    /// What was committed together with the offset; often empty.
    pub metadata: String,
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

    /// Adds a partition with an offset, and with a text that a commit stores beside it.
    pub fn add_partition_offset_metadata(
        &mut self,
        topic: &str,
        partition: i32,
        offset: Offset,
        metadata: &str,
    ) -> KafkaResult<()> {
        let topic = CString::new(topic)?;
        // SAFETY: the list is ours, and the returned element a part of it; the memory is freed by `free` together with the
        // list, and has `metadata.len()` bytes, at least one.
        unsafe {
            let element = ffi::rd_kafka_topic_partition_list_add(self.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset.raw();
            if metadata.is_empty() {
                return Ok(());
            }
            let Some(memory) = NonNull::new(libc::malloc(metadata.len())) else { std::process::abort() };
            std::ptr::copy_nonoverlapping(metadata.as_ptr(), memory.as_ptr().cast(), metadata.len());
            (*element).metadata = memory.as_ptr();
            (*element).metadata_size = metadata.len();
        }
        Ok(())
    }

    /// Number of partitions.
    pub fn count(&self) -> usize {
        self.raw().len()
    }

    /// All of them.
    pub fn elements(&self) -> Vec<TopicPartition> {
        self.raw()
            .iter()
            .map(|element| TopicPartition {
                // SAFETY: the topic's name lives as long as the list.
                topic: unsafe { text(element.topic) }.into_owned(),
                partition: element.partition,
                offset: if element.offset >= 0 { Offset::Offset(element.offset) } else { Offset::Invalid },
                metadata: Self::metadata(element),
            })
            .collect()
    }

    fn metadata(element: &ffi::rd_kafka_topic_partition_t) -> String {
        if element.metadata.is_null() {
            return String::new();
        }
        // SAFETY: not null, so it has `metadata_size` bytes, which live as long as the list.
        let bytes = unsafe { std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size) };
        String::from_utf8_lossy(bytes).into_owned()
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
