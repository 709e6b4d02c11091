//! Sending records.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use libc::c_void;

use crate::admin::{self, Topic};
use crate::client::Client;
use crate::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use crate::context::{ClientContext, DefaultClientContext};
use crate::error::{KafkaError, KafkaResult, RDKafkaError, RDKafkaErrorCode};
use crate::ffi;
use crate::group::ConsumerGroupMetadata;
use crate::message::{Message, MessageRef, OwnedHeaders, OwnedMessage};
use crate::native::{c_string, millis};
use crate::topic_partition_list::TopicPartitionList;

/// What became of a record: its partition and offset, or why it was lost.
pub type DeliveryResult = Result<(i32, i64), KafkaError>;

/// A record of which it is known now what became of it.
pub struct Delivery<'a> {
    /// The record.
    pub message: MessageRef<'a>,
    /// What became of it.
    pub result: DeliveryResult,
    /// Whether a broker may have written it although it is reported as lost: its request was sent, and not answered.
    pub may_be_written: bool,
    /// The number that it was sent with.
    pub tag: usize,
}

/// Callbacks of a producer.
pub trait ProducerContext: ClientContext {
    /// Called once for each record that was taken, on the thread that polls.
    fn delivery(&self, delivery: Delivery<'_>);
}

impl ProducerContext for DefaultClientContext {
    fn delivery(&self, _: Delivery<'_>) {}
}

/// A record to be sent. Its bytes are copied.
pub struct BaseRecord<'a> {
    topic: &'a str,
    partition: Option<i32>,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    timestamp: Option<i64>,
    headers: Option<OwnedHeaders>,
    tag: usize,
}

#[expect(missing_docs, reason = "named for what they set")]
impl<'a> BaseRecord<'a> {
    /// A record without key and value.
    pub fn to(topic: &'a str) -> Self {
        Self { topic, partition: None, key: None, payload: None, timestamp: None, headers: None, tag: 0 }
    }

    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    #[must_use]
    pub fn key(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    #[must_use]
    pub fn payload(mut self, payload: &'a [u8]) -> Self {
        self.payload = Some(payload);
        self
    }

    /// The record that a message was or is to be, without its place in the log.
    pub fn again(message: &'a OwnedMessage) -> Self {
        let headers = message.headers().into_iter().fold(OwnedHeaders::default(), OwnedHeaders::insert);
        let record = Self::to(message.topic_name()).headers(headers);
        Self { key: message.key(), payload: message.payload(), ..record }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// A number of the caller's, which comes back with what becomes of the record.
    #[must_use]
    pub fn tag(mut self, tag: usize) -> Self {
        self.tag = tag;
        self
    }

    #[must_use]
    pub fn headers(mut self, headers: OwnedHeaders) -> Self {
        self.headers = Some(headers);
        self
    }
}

/// What every producer can do.
pub trait Producer {
    /// Hands a record over, without waiting. `QueueFull` means that nothing was taken.
    fn send(&self, record: BaseRecord<'_>) -> KafkaResult<()>;
    /// Waits until nothing is in flight.
    fn flush(&self, timeout: Duration) -> KafkaResult<()>;
    /// Gives up all that is queued or in flight; each is reported as lost.
    fn purge(&self);
    /// Number of records not yet reported, and of other events not yet polled.
    fn in_flight_count(&self) -> usize;
    /// The error after which the producer cannot go on, if there was one.
    fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)>;
    /// Fences other producers with the same `transactional.id`. Once, before the first transaction.
    fn init_transactions(&self, timeout: Duration) -> KafkaResult<()>;
    /// All that is sent from here on is part of a transaction.
    fn begin_transaction(&self) -> KafkaResult<()>;
    /// Makes the consumer group's next offsets part of the transaction.
    fn send_offsets_to_transaction(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        timeout: Duration,
    ) -> KafkaResult<()>;
    /// Makes all of the transaction visible. After a retriable error it may be called again.
    fn commit_transaction(&self, timeout: Duration) -> KafkaResult<()>;
    /// Makes nothing of the transaction visible.
    fn abort_transaction(&self, timeout: Duration) -> KafkaResult<()>;
}

/// A producer that must be polled.
pub struct BaseProducer<C: ProducerContext = DefaultClientContext> {
    client: Client<C>,
}

impl<C: ProducerContext> BaseProducer<C> {
    /// Calls the context for what has happened; waits up to `timeout` for something. Returns the number of events.
    pub fn poll(&self, timeout: Duration) -> usize {
        // SAFETY: the handle is valid.
        let events = unsafe { ffi::rd_kafka_poll(self.client.as_ptr(), millis(timeout)) };
        usize::try_from(events).unwrap_or(0)
    }

    /// Asks a broker what the cluster is, which shows that one answers.
    pub fn fetch_metadata(&self, timeout: Duration) -> KafkaResult<()> {
        let mut metadata = std::ptr::null();
        // SAFETY: the handle is valid; on success the metadata is ours, and is freed at once.
        unsafe {
            let code =
                ffi::rd_kafka_metadata(self.client.as_ptr(), 0, std::ptr::null_mut(), &mut metadata, millis(timeout));
            RDKafkaErrorCode::check(code, KafkaError::MetadataFetch)?;
            ffi::rd_kafka_metadata_destroy(metadata);
        }
        Ok(())
    }

    /// Which topic the name stands for at present. A producer's connection answers at once, unlike that of a consumer, on which the
    /// broker holds answers back until there are records.
    pub fn topic(&self, topic: &str, timeout: Duration) -> KafkaResult<Topic> {
        admin::topic(&self.client, topic, timeout)
    }

    /// Asks for the offset of the first record of a partition and for its end. On a producer's connection, for the same reason.
    pub fn watermarks(&self, topic: &str, partition: i32, timeout: Duration) -> KafkaResult<(i64, i64)> {
        let name = c_string(topic)?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the handle and all pointers are valid for the call.
        let code = unsafe {
            ffi::rd_kafka_query_watermark_offsets(
                self.client.as_ptr(),
                name.as_ptr(),
                partition,
                &mut low,
                &mut high,
                millis(timeout),
            )
        };
        RDKafkaErrorCode::check(code, KafkaError::Watermarks)?;
        Ok((low, high))
    }

    /// Makes the producer fail for good, as an error would after which it cannot go on. For tests.
    pub fn fail_for_good(&self, code: RDKafkaErrorCode, reason: &CStr) {
        // SAFETY: handle and reason are valid. It does nothing where the producer has failed already.
        unsafe { ffi::rd_kafka_test_fatal_error(self.client.as_ptr(), code.raw(), reason.as_ptr()) };
    }

    /// Its context.
    pub fn context(&self) -> &C {
        self.client.context()
    }
}

impl FromClientConfig for BaseProducer {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultClientContext)
    }
}

impl<C: ProducerContext> FromClientConfigAndContext<C> for BaseProducer<C> {
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let native = config.native()?;
        // SAFETY: the configuration is valid.
        unsafe { ffi::rd_kafka_conf_set_dr_msg_cb(native.as_ptr(), on_delivery::<C>) };
        Ok(Self { client: Client::new(ffi::RD_KAFKA_PRODUCER, native, context)? })
    }
}

unsafe extern "C" fn on_delivery<C: ProducerContext>(
    _: *mut ffi::rd_kafka_t,
    message: *const ffi::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the context, which outlives the handle; the message lives for the call.
    unsafe {
        let (Some(context), Some(message)) = (opaque.cast::<C>().as_ref(), message.as_ref()) else { return };
        context.delivery(Delivery {
            message: MessageRef::new(message),
            result: RDKafkaErrorCode::check(message.err, KafkaError::MessageProduction)
                .map(|()| (message.partition, message.offset)),
            may_be_written: ffi::rd_kafka_message_status(message) != ffi::RD_KAFKA_MSG_STATUS_NOT_PERSISTED,
            tag: message._private.addr(),
        });
    }
}

impl<C: ProducerContext> Producer for BaseProducer<C> {
    fn send(&self, record: BaseRecord<'_>) -> KafkaResult<()> {
        const NONE: ffi::rd_kafka_vu_t = ffi::rd_kafka_vu_t { vtype: 0, u: ffi::rd_kafka_vu_value { i64: 0 } };
        let topic = c_string(record.topic)?;
        let mut args = [NONE; 8];
        let mut count = 0;
        let mut push = |vtype, u| {
            args[count] = ffi::rd_kafka_vu_t { vtype, u };
            count += 1;
        };
        let mem =
            |bytes: &[u8]| ffi::rd_kafka_vu_value { mem: ffi::Mem { ptr: bytes.as_ptr().cast(), size: bytes.len() } };
        push(ffi::RD_KAFKA_VTYPE_TOPIC, ffi::rd_kafka_vu_value { cstr: topic.as_ptr() });
        push(ffi::RD_KAFKA_VTYPE_MSGFLAGS, ffi::rd_kafka_vu_value { i: ffi::RD_KAFKA_MSG_F_COPY });
        // Never followed.
        push(ffi::RD_KAFKA_VTYPE_OPAQUE, ffi::rd_kafka_vu_value { ptr: std::ptr::without_provenance_mut(record.tag) });
        if let Some(partition) = record.partition {
            push(ffi::RD_KAFKA_VTYPE_PARTITION, ffi::rd_kafka_vu_value { i32: partition });
        }
        if let Some(key) = record.key {
            push(ffi::RD_KAFKA_VTYPE_KEY, mem(key));
        }
        if let Some(payload) = record.payload {
            push(ffi::RD_KAFKA_VTYPE_VALUE, mem(payload));
        }
        if let Some(timestamp) = record.timestamp {
            push(ffi::RD_KAFKA_VTYPE_TIMESTAMP, ffi::rd_kafka_vu_value { i64: timestamp });
        }
        if let Some(headers) = &record.headers {
            push(ffi::RD_KAFKA_VTYPE_HEADERS, ffi::rd_kafka_vu_value { headers: headers.as_ptr() });
        }
        // SAFETY: each argument has the type its tag says and lives for the call; key and value are copied.
        let result =
            unsafe { RDKafkaError::check(ffi::rd_kafka_produceva(self.client.as_ptr(), args.as_ptr(), count)) };
        result.map_err(|error| KafkaError::MessageProduction(error.code()))?;
        // On success the record owns the headers.
        if let Some(headers) = record.headers {
            headers.release();
        }
        Ok(())
    }

    fn flush(&self, timeout: Duration) -> KafkaResult<()> {
        // SAFETY: the handle is valid.
        let code = unsafe { ffi::rd_kafka_flush(self.client.as_ptr(), millis(timeout)) };
        RDKafkaErrorCode::check(code, KafkaError::Flush)
    }

    fn purge(&self) {
        // SAFETY: the handle is valid. It fails only for flags that do not exist.
        unsafe {
            ffi::rd_kafka_purge(self.client.as_ptr(), ffi::RD_KAFKA_PURGE_F_QUEUE | ffi::RD_KAFKA_PURGE_F_INFLIGHT)
        };
    }

    fn in_flight_count(&self) -> usize {
        // SAFETY: the handle is valid.
        usize::try_from(unsafe { ffi::rd_kafka_outq_len(self.client.as_ptr()) }).unwrap_or(0)
    }

    fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.client.fatal_error()
    }

    fn init_transactions(&self, timeout: Duration) -> KafkaResult<()> {
        // SAFETY: the handle is valid; the error is taken over at once, here and below.
        unsafe { RDKafkaError::check(ffi::rd_kafka_init_transactions(self.client.as_ptr(), millis(timeout))) }
            .map_err(KafkaError::Transaction)
    }

    fn begin_transaction(&self) -> KafkaResult<()> {
        // SAFETY: as above.
        unsafe { RDKafkaError::check(ffi::rd_kafka_begin_transaction(self.client.as_ptr())) }
            .map_err(KafkaError::Transaction)
    }

    fn send_offsets_to_transaction(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        timeout: Duration,
    ) -> KafkaResult<()> {
        // SAFETY: as above; offsets and group are valid and only read.
        unsafe {
            RDKafkaError::check(ffi::rd_kafka_send_offsets_to_transaction(
                self.client.as_ptr(),
                offsets.as_ptr(),
                group.as_ptr(),
                millis(timeout),
            ))
        }
        .map_err(KafkaError::Transaction)
    }

    fn commit_transaction(&self, timeout: Duration) -> KafkaResult<()> {
        // SAFETY: as above.
        unsafe { RDKafkaError::check(ffi::rd_kafka_commit_transaction(self.client.as_ptr(), millis(timeout))) }
            .map_err(KafkaError::Transaction)
    }

    fn abort_transaction(&self, timeout: Duration) -> KafkaResult<()> {
        // SAFETY: as above.
        unsafe { RDKafkaError::check(ffi::rd_kafka_abort_transaction(self.client.as_ptr(), millis(timeout))) }
            .map_err(KafkaError::Transaction)
    }
}

/// A producer that a thread of its own polls.
pub struct ThreadedProducer<C: ProducerContext = DefaultClientContext> {
    producer: Arc<BaseProducer<C>>,
    stop: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
}

impl<C: ProducerContext> ThreadedProducer<C> {
    /// Its context.
    pub fn context(&self) -> &C {
        self.producer.context()
    }
}

impl<C: ProducerContext> FromClientConfigAndContext<C> for ThreadedProducer<C> {
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let stop = Arc::new(AtomicBool::new(false));
        let poller = {
            let (producer, stop) = (Arc::clone(&producer), Arc::clone(&stop));
            std::thread::Builder::new().name("kafka-poll".into()).spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    producer.poll(Duration::from_millis(100));
                }
            })
        };
        let poller = poller.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { producer, stop, poller: Some(poller) })
    }
}

impl<C: ProducerContext> Drop for ThreadedProducer<C> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(poller) = self.poller.take() {
            // A callback that panicked has said so already.
            let _ = poller.join();
        }
    }
}

impl<C: ProducerContext> std::ops::Deref for ThreadedProducer<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &BaseProducer<C> {
        &self.producer
    }
}
