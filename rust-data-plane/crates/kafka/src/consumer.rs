//! Reading records.

use std::time::Duration;

use libc::c_void;

use crate::client::Client;
use crate::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use crate::context::{ClientContext, DefaultClientContext};
use crate::error::{KafkaError, KafkaResult, RDKafkaError, RDKafkaErrorCode};
use crate::ffi;
pub use crate::group::ConsumerGroupMetadata;
use crate::message::BorrowedMessage;
use crate::native::{c_string, millis, non_null, text};
use crate::topic_partition_list::TopicPartitionList;

/// A change of the partitions that a consumer reads.
#[derive(Debug)]
pub enum Rebalance<'a> {
    /// These are added.
    Assign(&'a TopicPartitionList),
    /// These are taken away.
    Revoke(&'a TopicPartitionList),
    /// The group could not be (re)joined; all are taken away.
    Error(RDKafkaErrorCode),
}

/// Callbacks of a consumer. They run on the thread that polls.
pub trait ConsumerContext: ClientContext {
    /// Before the change takes effect.
    fn pre_rebalance(&self, _: &Rebalance<'_>) {}
}

impl ConsumerContext for DefaultClientContext {}

/// A member of a consumer group that must be polled.
pub struct BaseConsumer<C: ConsumerContext = DefaultClientContext> {
    client: Client<C>,
}

impl<C: ConsumerContext> BaseConsumer<C> {
    /// Reads these topics from here on; rebalances come with the polls.
    pub fn subscribe(&self, topics: &[&str]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_partition(topic, -1)?;
        }
        // SAFETY: handle and list are valid; the list is copied.
        let code = unsafe { ffi::rd_kafka_subscribe(self.client.as_ptr(), list.as_ptr()) };
        RDKafkaErrorCode::check(code, KafkaError::Subscription)
    }

    /// The next record or error; `None` when there is none within `timeout`.
    pub fn poll(&self, timeout: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        // SAFETY: the handle is valid; the message borrows from self.
        unsafe {
            let message = ffi::rd_kafka_consumer_poll(self.client.as_ptr(), millis(timeout));
            non_null(message).map(|message| BorrowedMessage::from_raw(message))
        }
    }

    /// Commits these offsets to the group, outside of any transaction, and waits until it is done.
    pub fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        // SAFETY: handle and list are valid; the list is copied.
        let code = unsafe { ffi::rd_kafka_commit(self.client.as_ptr(), offsets.as_ptr(), 0) };
        RDKafkaErrorCode::check(code, KafkaError::Commit)
    }

    /// What the group has committed of these partitions; without an offset where it has committed nothing. Waits for open
    /// transactions that would change it.
    pub fn committed_offsets(
        &self,
        partitions: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList> {
        // SAFETY: handle and list are valid; the list is ours, and its offsets are set.
        let code = unsafe { ffi::rd_kafka_committed(self.client.as_ptr(), partitions.as_ptr(), millis(timeout)) };
        RDKafkaErrorCode::check(code, KafkaError::Commit)?;
        partitions.error().map_or(Ok(partitions), |code| Err(KafkaError::Commit(code)))
    }

    /// Reads assigned partitions on from these offsets, whatever was fetched already.
    pub fn seek_partitions(&self, partitions: TopicPartitionList, timeout: Duration) -> KafkaResult<()> {
        // SAFETY: handle and list are valid; the list is ours, and its errors are set.
        let result = unsafe {
            RDKafkaError::check(ffi::rd_kafka_seek_partitions(
                self.client.as_ptr(),
                partitions.as_ptr(),
                millis(timeout),
            ))
        };
        result.map_err(|error| KafkaError::Seek(error.code()))?;
        partitions.error().map_or(Ok(()), |code| Err(KafkaError::Seek(code)))
    }

    /// What identifies this member and its generation, for `send_offsets_to_transaction`.
    pub fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        // SAFETY: the handle is valid; the result is owned.
        non_null(unsafe { ffi::rd_kafka_consumer_group_metadata(self.client.as_ptr()) }).map(ConsumerGroupMetadata::new)
    }

    /// The partitions that it reads now.
    pub fn assignment(&self) -> KafkaResult<TopicPartitionList> {
        let mut list = std::ptr::null_mut();
        // SAFETY: the handle is valid; on success the list is ours.
        unsafe {
            RDKafkaErrorCode::check(ffi::rd_kafka_assignment(self.client.as_ptr(), &mut list), KafkaError::Assignment)?;
            Ok(TopicPartitionList::from_raw(list))
        }
    }

    /// The last known end of a partition, without asking the broker.
    pub fn known_high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = c_string(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the handle and all pointers are valid for the call.
        let code = unsafe {
            ffi::rd_kafka_get_watermark_offsets(self.client.as_ptr(), topic.as_ptr(), partition, &mut low, &mut high)
        };
        (code == 0 && high >= 0).then_some(high)
    }

    /// The error after which the consumer cannot go on, if there was one.
    pub fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.client.fatal_error()
    }

    /// Its context.
    pub fn context(&self) -> &C {
        self.client.context()
    }
}

impl<C: ConsumerContext> Drop for BaseConsumer<C> {
    fn drop(&mut self) {
        // SAFETY: the handle is valid until the client is dropped. Leaves the group, so that others go on at once.
        unsafe { ffi::rd_kafka_consumer_close(self.client.as_ptr()) };
    }
}

impl FromClientConfig for BaseConsumer {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultClientContext)
    }
}

impl<C: ConsumerContext> FromClientConfigAndContext<C> for BaseConsumer<C> {
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let native = config.native()?;
        // SAFETY: the configuration is valid.
        unsafe { ffi::rd_kafka_conf_set_rebalance_cb(native.as_ptr(), on_rebalance::<C>) };
        let client = Client::new(ffi::RD_KAFKA_CONSUMER, native, context)?;
        // SAFETY: the handle is a consumer's.
        unsafe { ffi::rd_kafka_poll_set_consumer(client.as_ptr()) };
        Ok(Self { client })
    }
}

unsafe extern "C" fn on_rebalance<C: ConsumerContext>(
    rk: *mut ffi::rd_kafka_t,
    code: ffi::rd_kafka_resp_err_t,
    partitions: *mut ffi::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the context, which outlives the handle; handle and list are valid for the call.
    unsafe {
        let Some(context) = opaque.cast::<C>().as_ref() else { return };
        let list = TopicPartitionList::copied(partitions);
        let cooperative = text(ffi::rd_kafka_rebalance_protocol(rk)) == "COOPERATIVE";
        let result = match RDKafkaErrorCode::new(code) {
            RDKafkaErrorCode::AssignPartitions => {
                context.pre_rebalance(&Rebalance::Assign(&list));
                if cooperative {
                    RDKafkaError::check(ffi::rd_kafka_incremental_assign(rk, partitions)).map_err(|e| e.code())
                } else {
                    assigned(ffi::rd_kafka_assign(rk, partitions))
                }
            }
            RDKafkaErrorCode::RevokePartitions => {
                context.pre_rebalance(&Rebalance::Revoke(&list));
                if cooperative {
                    RDKafkaError::check(ffi::rd_kafka_incremental_unassign(rk, partitions)).map_err(|e| e.code())
                } else {
                    assigned(ffi::rd_kafka_assign(rk, std::ptr::null()))
                }
            }
            other => {
                context.pre_rebalance(&Rebalance::Error(other));
                assigned(ffi::rd_kafka_assign(rk, std::ptr::null()))
            }
        };
        if let Err(code) = result {
            context.error(code, "the change of assignment failed");
        }
    }
}

fn assigned(code: ffi::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if code == 0 { Ok(()) } else { Err(RDKafkaErrorCode::new(code)) }
}
