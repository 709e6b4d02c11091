//! Records as they are read, and their headers.

use std::marker::PhantomData;
use std::ptr::NonNull;

use libc::{c_char, c_void};

use crate::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use crate::ffi;
use crate::native::text;

/// A record.
pub trait Message {
    /// Its key.
    fn key(&self) -> Option<&[u8]>;
    /// Its value; none for a tombstone.
    fn payload(&self) -> Option<&[u8]>;
    /// Its topic.
    fn topic(&self) -> String;
    /// Its partition.
    fn partition(&self) -> i32;
    /// Its place in the partition.
    fn offset(&self) -> i64;
    /// Milliseconds since the Unix epoch.
    fn timestamp_millis(&self) -> Option<i64>;
    /// All headers, in order.
    fn headers(&self) -> Vec<Header<'_>>;

    /// The value of the first header named `name`.
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().into_iter().find(|header| header.key == name.as_bytes()).and_then(|header| header.value)
    }

    /// A copy in memory of its own.
    fn detach(&self) -> OwnedMessage {
        self.detach_with(self.payload())
    }

    /// A copy in memory of its own, with another value.
    fn detach_with(&self, payload: Option<&[u8]>) -> OwnedMessage {
        OwnedMessage {
            key: self.key().map(<[u8]>::to_vec),
            payload: payload.map(<[u8]>::to_vec),
            topic: self.topic(),
            partition: self.partition(),
            offset: self.offset(),
            timestamp: self.timestamp_millis(),
            headers: self
                .headers()
                .into_iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }
}

/// One header. Its name is text by convention only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "says what it is")]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// A record that lies in librdkafka's memory, for as long as its consumer lives.
pub struct BorrowedMessage<'a> {
    message: NonNull<ffi::rd_kafka_message_t>,
    owner: PhantomData<&'a ()>,
}

// SAFETY: a message may be read and destroyed on any thread.
unsafe impl Send for BorrowedMessage<'_> {}

impl BorrowedMessage<'_> {
    /// Takes a polled message over; an event that is no record is an error.
    ///
    /// # Safety
    /// `message` was just returned by a consumer that outlives the result.
    pub(crate) unsafe fn from_raw(message: NonNull<ffi::rd_kafka_message_t>) -> KafkaResult<Self> {
        let message = Self { message, owner: PhantomData };
        RDKafkaErrorCode::check(message.raw().err, KafkaError::MessageConsumption)?;
        Ok(message)
    }

    fn raw(&self) -> &ffi::rd_kafka_message_t {
        // SAFETY: owned, and valid until it is dropped.
        unsafe { self.message.as_ref() }
    }
}

/// The bytes at `pointer`.
///
/// # Safety
/// `pointer` is null, or has `size` bytes that live for `'a`.
unsafe fn bytes<'a>(pointer: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: by the contract above.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer.cast(), size) })
}

/// A record that lies in librdkafka's memory and is only lent.
#[derive(Clone, Copy)]
pub struct MessageRef<'a>(&'a ffi::rd_kafka_message_t);

impl<'a> MessageRef<'a> {
    /// # Safety
    /// `message` is one of librdkafka's, with all that it points at, for `'a`.
    pub(crate) unsafe fn new(message: &'a ffi::rd_kafka_message_t) -> Self {
        Self(message)
    }

    fn key_bytes(self) -> Option<&'a [u8]> {
        // SAFETY: the bytes live as long as the message.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    fn value_bytes(self) -> Option<&'a [u8]> {
        // SAFETY: the bytes live as long as the message.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    fn all_headers(self) -> Vec<Header<'a>> {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is valid; the headers stay the message's and live as long.
        unsafe {
            if ffi::rd_kafka_message_headers(self.0, &mut headers) != 0 {
                return Vec::new();
            }
            (0..ffi::rd_kafka_header_cnt(headers)).filter_map(|index| header_at(headers, index)).collect()
        }
    }
}

impl Message for MessageRef<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.key_bytes()
    }

    fn payload(&self) -> Option<&[u8]> {
        self.value_bytes()
    }

    fn topic(&self) -> String {
        // SAFETY: the topic lives as long as the message, its name as long as the topic.
        unsafe { text(ffi::rd_kafka_topic_name(self.0.rkt)) }.into_owned()
    }

    fn partition(&self) -> i32 {
        self.0.partition
    }

    fn offset(&self) -> i64 {
        self.0.offset
    }

    fn timestamp_millis(&self) -> Option<i64> {
        // SAFETY: the message is valid; the kind is not asked for.
        let at = unsafe { ffi::rd_kafka_message_timestamp(self.0, std::ptr::null_mut()) };
        (at >= 0).then_some(at)
    }

    fn headers(&self) -> Vec<Header<'_>> {
        self.all_headers()
    }
}

impl BorrowedMessage<'_> {
    fn lent(&self) -> MessageRef<'_> {
        // SAFETY: the message is owned, and valid until it is dropped.
        unsafe { MessageRef::new(self.raw()) }
    }
}

impl Message for BorrowedMessage<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.lent().key_bytes()
    }

    fn payload(&self) -> Option<&[u8]> {
        self.lent().value_bytes()
    }

    fn topic(&self) -> String {
        self.lent().topic()
    }

    fn partition(&self) -> i32 {
        self.lent().partition()
    }

    fn offset(&self) -> i64 {
        self.lent().offset()
    }

    fn timestamp_millis(&self) -> Option<i64> {
        self.lent().timestamp_millis()
    }

    fn headers(&self) -> Vec<Header<'_>> {
        self.lent().all_headers()
    }
}

/// One header.
///
/// # Safety
/// `headers` is valid for `'a`.
unsafe fn header_at<'a>(headers: *const ffi::rd_kafka_headers_t, index: usize) -> Option<Header<'a>> {
    let (mut name, mut value, mut size) = (std::ptr::null::<c_char>(), std::ptr::null::<c_void>(), 0);
    // SAFETY: by the contract above; name and value live as long as the headers.
    unsafe {
        if ffi::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) != 0 {
            return None;
        }
        let key = std::ffi::CStr::from_ptr(name).to_bytes();
        Some(Header { key, value: bytes(value, size) })
    }
}

impl Drop for BorrowedMessage<'_> {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { ffi::rd_kafka_message_destroy(self.message.as_ptr()) }
    }
}

/// A record in memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedMessage {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl OwnedMessage {
    /// A record that was not sent yet, and so has no partition, offset and time.
    pub fn unsent<'a>(
        topic: &str,
        key: &[u8],
        payload: &[u8],
        headers: impl IntoIterator<Item = (&'static str, &'a [u8])>,
    ) -> Self {
        let headers = headers.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), Some(value.to_vec())));
        Self {
            key: Some(key.to_vec()),
            payload: Some(payload.to_vec()),
            topic: topic.into(),
            partition: -1,
            offset: -1,
            timestamp: None,
            headers: headers.collect(),
        }
    }

    pub(crate) fn topic_name(&self) -> &str {
        &self.topic
    }
}

impl Message for OwnedMessage {
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    fn topic(&self) -> String {
        self.topic.clone()
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn timestamp_millis(&self) -> Option<i64> {
        self.timestamp
    }

    fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect()
    }
}

/// Headers of a record to be sent.
pub struct OwnedHeaders(NonNull<ffi::rd_kafka_headers_t>);

// SAFETY: a plain data structure with one owner.
unsafe impl Send for OwnedHeaders {}

impl Default for OwnedHeaders {
    fn default() -> Self {
        Self::new_with_capacity(8)
    }
}

impl OwnedHeaders {
    /// No headers, with room for `capacity`.
    pub fn new_with_capacity(capacity: usize) -> Self {
        // SAFETY: returns new headers, owned here.
        Self::owned(unsafe { ffi::rd_kafka_headers_new(capacity) })
    }

    fn owned(headers: *mut ffi::rd_kafka_headers_t) -> Self {
        match NonNull::new(headers) {
            Some(headers) => Self(headers),
            // librdkafka aborts the process itself when memory is out.
            None => std::process::abort(),
        }
    }

    /// With one more. A name with a NUL byte ends there.
    #[must_use]
    pub fn insert(self, header: Header<'_>) -> Self {
        let (value, size) = match header.value {
            Some(value) => (value.as_ptr().cast(), value.len()),
            None => (std::ptr::null(), 0),
        };
        // SAFETY: the headers are ours; name and value are copied with their true sizes. It fails for none of these.
        unsafe {
            ffi::rd_kafka_header_add(
                self.0.as_ptr(),
                header.key.as_ptr().cast(),
                header.key.len() as isize,
                value,
                size as isize,
            );
        }
        self
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::rd_kafka_headers_t {
        self.0.as_ptr()
    }

    pub(crate) fn release(self) {
        std::mem::forget(self);
    }
}

impl Clone for OwnedHeaders {
    fn clone(&self) -> Self {
        // SAFETY: copies valid headers.
        Self::owned(unsafe { ffi::rd_kafka_headers_copy(self.as_ptr()) })
    }
}

impl Drop for OwnedHeaders {
    fn drop(&mut self) {
        // SAFETY: owned, and taken over by no record.
        unsafe { ffi::rd_kafka_headers_destroy(self.as_ptr()) }
    }
}
