//! What can go wrong.

use std::ffi::CStr;
use std::fmt;

use thiserror::Error;

use crate::ffi;

/// A result whose error is librdkafka's.
pub type KafkaResult<T> = Result<T, KafkaError>;

/// An operation that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KafkaError {
    #[error("setting {key}={value}: {reason}")]
    ClientConfig { key: String, value: String, reason: String },
    #[error("librdkafka 2.3 or newer is needed, and {:x}.{:x}.{:x} was loaded", .0 >> 24, (.0 >> 16) & 0xff, (.0 >> 8) & 0xff)]
    LibraryTooOld(i32),
    #[error("client creation: {0}")]
    ClientCreation(String),
    #[error("text with a NUL byte")]
    Nul,
    #[error("production: {0}")]
    MessageProduction(RDKafkaErrorCode),
    #[error("consumption: {0}")]
    MessageConsumption(RDKafkaErrorCode),
    #[error("subscription: {0}")]
    Subscription(RDKafkaErrorCode),
    #[error("flush: {0}")]
    Flush(RDKafkaErrorCode),
    #[error("commit: {0}")]
    Commit(RDKafkaErrorCode),
    #[error("assignment: {0}")]
    Assignment(RDKafkaErrorCode),
    #[error("metadata: {0}")]
    MetadataFetch(RDKafkaErrorCode),
    #[error("seek: {0}")]
    Seek(RDKafkaErrorCode),
    #[error("watermarks: {0}")]
    Watermarks(RDKafkaErrorCode),
    #[error("topic: {0}")]
    Topic(String),
    #[error("topic: {0}")]
    TopicRefused(RDKafkaErrorCode),
    #[error("transaction: {0}")]
    Transaction(RDKafkaError),
    #[error("mock cluster: {0}")]
    MockCluster(String),
}

impl KafkaError {
    /// Whether the record itself is at fault, so that no other attempt sends it.
    pub fn is_of_the_record(&self) -> bool {
        const OWN: [RDKafkaErrorCode; 3] =
            [RDKafkaErrorCode::MsgSizeTooLarge, RDKafkaErrorCode::InvalidRecord, RDKafkaErrorCode::InvalidMessage];
        matches!(self, Self::Nul) || self.rdkafka_error_code().is_some_and(|code| OWN.contains(&code))
    }

    /// librdkafka's code, where there is one.
    pub fn rdkafka_error_code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::MessageProduction(code)
            | Self::MessageConsumption(code)
            | Self::Subscription(code)
            | Self::Flush(code)
            | Self::Commit(code)
            | Self::Assignment(code)
            | Self::MetadataFetch(code)
            | Self::Seek(code)
            | Self::Watermarks(code)
            | Self::TopicRefused(code) => Some(*code),
            Self::Transaction(error) => Some(error.code()),
            Self::ClientConfig { .. }
            | Self::LibraryTooOld(_)
            | Self::ClientCreation(_)
            | Self::Nul
            | Self::Topic(_)
            | Self::MockCluster(_) => None,
        }
    }
}

impl From<std::ffi::NulError> for KafkaError {
    fn from(_: std::ffi::NulError) -> Self {
        Self::Nul
    }
}

/// A code of librdkafka's, or of the broker's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RDKafkaErrorCode(i32);

#[allow(non_upper_case_globals, missing_docs, reason = "named as in the rdkafka crate")]
impl RDKafkaErrorCode {
    pub const NoError: Self = Self(0);
    pub const Fatal: Self = Self(-150);
    pub const TimedOut: Self = Self(-185);
    pub const AllBrokersDown: Self = Self(-187);
    pub const UnknownTopic: Self = Self(-188);
    pub const BrokerTransportFailure: Self = Self(-195);
    pub const QueueFull: Self = Self(-184);
    pub const AssignPartitions: Self = Self(-175);
    pub const RevokePartitions: Self = Self(-174);
    pub const Fenced: Self = Self(-144);
    pub const PurgeQueue: Self = Self(-152);
    pub const PurgeInflight: Self = Self(-151);
    pub const UnknownTopicOrPartition: Self = Self(3);
    pub const InvalidMessage: Self = Self(2);
    pub const OutOfOrderSequenceNumber: Self = Self(45);
    pub const MsgSizeTooLarge: Self = Self(10);
    pub const InvalidTimestamp: Self = Self(32);
    pub const TopicAlreadyExists: Self = Self(36);
    pub const InvalidRecord: Self = Self(87);
    pub const IllegalGeneration: Self = Self(22);
    pub const UnknownMemberId: Self = Self(25);
    pub const FencedInstanceId: Self = Self(82);

    pub(crate) const fn new(code: i32) -> Self {
        Self(code)
    }

    pub(crate) fn raw(self) -> i32 {
        self.0
    }

    pub(crate) fn check(code: i32, error: impl FnOnce(Self) -> KafkaError) -> KafkaResult<()> {
        if code == 0 { Ok(()) } else { Err(error(Self(code))) }
    }

    /// Its symbol.
    pub fn name(self) -> &'static str {
        // SAFETY: librdkafka answers every code with a static string.
        unsafe { text(ffi::rd_kafka_err2name(self.0)) }
    }
}

/// The static string at `pointer`.
///
/// # Safety
/// `pointer` is null, or a NUL-terminated string that is never freed.
unsafe fn text(pointer: *const libc::c_char) -> &'static str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("")
}

impl fmt::Display for RDKafkaErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: librdkafka answers every code with a static string.
        write!(f, "{} ({})", unsafe { text(ffi::rd_kafka_err2str(self.0)) }, self.name())
    }
}

impl fmt::Debug for RDKafkaErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error that says what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text} ({})", code.name())]
pub struct RDKafkaError {
    code: RDKafkaErrorCode,
    text: String,
    fatal: bool,
    retriable: bool,
    txn_requires_abort: bool,
}

impl RDKafkaError {
    /// Takes `error` over; a null pointer is success.
    ///
    /// # Safety
    /// `error` is null, or was just returned by librdkafka and is used nowhere else.
    pub(crate) unsafe fn check(error: *mut ffi::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, and ours by the contract above until it is destroyed.
        let taken = unsafe {
            let taken = Self {
                code: RDKafkaErrorCode(ffi::rd_kafka_error_code(error)),
                text: CStr::from_ptr(ffi::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
                fatal: ffi::rd_kafka_error_is_fatal(error) != 0,
                retriable: ffi::rd_kafka_error_is_retriable(error) != 0,
                txn_requires_abort: ffi::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            ffi::rd_kafka_error_destroy(error);
            taken
        };
        Err(taken)
    }

    /// Its code.
    pub fn code(&self) -> RDKafkaErrorCode {
        self.code
    }

    /// The client cannot go on.
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The same call may be made again.
    pub fn is_retriable(&self) -> bool {
        self.retriable
    }

    /// The transaction must be aborted; another may be begun.
    pub fn txn_requires_abort(&self) -> bool {
        self.txn_requires_abort
    }
}
