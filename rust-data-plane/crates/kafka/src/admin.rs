//! Topics: which one a name stands for, and their making and deletion.

use std::ffi::CString;
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::Client;
use crate::config::{ClientConfig, FromClientConfig, Reason};
use crate::context::{ClientContext, DefaultClientContext};
use crate::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use crate::ffi;
use crate::native::{c_string, millis};

/// Makes and deletes topics.
pub struct AdminClient(Client<DefaultClientContext>);

impl FromClientConfig for AdminClient {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Ok(Self(Client::new(ffi::RD_KAFKA_PRODUCER, config.native()?, DefaultClientContext)?))
    }
}

impl AdminClient {
    /// Makes a topic with as many replicas as the broker has by default, and these settings.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> KafkaResult<()> {
        let name = c_string(topic)?;
        let mut reason = Reason::new();
        // SAFETY: name and buffer are valid; the new value is ours.
        let new =
            unsafe { ffi::rd_kafka_NewTopic_new(name.as_ptr(), partitions, -1, reason.as_mut_ptr(), Reason::SIZE) };
        let mut new =
            Owned::new(new, ffi::rd_kafka_NewTopic_destroy).ok_or_else(|| KafkaError::Topic(reason.into_string()))?;
        for (name, value) in settings {
            let (name, value) = (CString::new(*name)?, CString::new(*value)?);
            // SAFETY: all pointers are valid for the call, which copies the texts.
            let code = unsafe { ffi::rd_kafka_NewTopic_set_config(new.as_ptr(), name.as_ptr(), value.as_ptr()) };
            RDKafkaErrorCode::check(code, KafkaError::TopicRefused)?;
        }
        let request = Request::new(&self.0, ffi::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout)?;
        // SAFETY: handle, topic, options and queue are valid for the call, which copies the topic.
        unsafe {
            ffi::rd_kafka_CreateTopics(
                self.0.as_ptr(),
                new.as_mut(),
                1,
                request.options.as_ptr(),
                request.queue.as_ptr(),
            );
        }
        let event = request.answer(timeout)?;
        let mut count = 0;
        // SAFETY: the event is that of the request; its parts live as long.
        let code = unsafe {
            let results = ffi::rd_kafka_CreateTopics_result_topics(
                ffi::rd_kafka_event_CreateTopics_result(event.as_ptr()),
                &mut count,
            );
            first(results, count).map_or(0, |result| ffi::rd_kafka_topic_result_error(result))
        };
        RDKafkaErrorCode::check(code, KafkaError::TopicRefused)
    }

    /// Deletes a topic with all its records. The broker does so a little later.
    pub fn delete_topic(&self, topic: &str, timeout: Duration) -> KafkaResult<()> {
        let name = c_string(topic)?;
        // SAFETY: the name is valid; the new value is ours.
        let deleted = unsafe { ffi::rd_kafka_DeleteTopic_new(name.as_ptr()) };
        let mut deleted =
            Owned::new(deleted, ffi::rd_kafka_DeleteTopic_destroy).ok_or_else(|| KafkaError::Topic(topic.into()))?;
        let request = Request::new(&self.0, ffi::RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            ffi::rd_kafka_DeleteTopics(
                self.0.as_ptr(),
                deleted.as_mut(),
                1,
                request.options.as_ptr(),
                request.queue.as_ptr(),
            );
        }
        let event = request.answer(timeout)?;
        let mut count = 0;
        // SAFETY: the event is that of the request; its parts live as long.
        let code = unsafe {
            let results = ffi::rd_kafka_DeleteTopics_result_topics(
                ffi::rd_kafka_event_DeleteTopics_result(event.as_ptr()),
                &mut count,
            );
            first(results, count).map_or(0, |result| ffi::rd_kafka_topic_result_error(result))
        };
        RDKafkaErrorCode::check(code, KafkaError::TopicRefused)
    }
}

/// What a broker says of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its id in hexadecimal digits. No other topic ever has it, also none that is made later under the same name. None where the
    /// broker tells no ids.
    pub id: Option<String>,
    /// How many partitions it has.
    pub partitions: usize,
}

pub(crate) fn topic<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> KafkaResult<Topic> {
    let name = c_string(topic)?;
    // SAFETY: the array has one valid name, which is copied; the collection is ours.
    let topics = unsafe { ffi::rd_kafka_TopicCollection_of_topic_names(&name.as_ptr(), 1) };
    let topics =
        Owned::new(topics, ffi::rd_kafka_TopicCollection_destroy).ok_or_else(|| KafkaError::Topic(topic.into()))?;
    let request = Request::new(client, ffi::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout)?;
    // SAFETY: handle, topics, options and queue are valid for the call.
    unsafe {
        ffi::rd_kafka_DescribeTopics(
            client.as_ptr(),
            topics.as_ptr(),
            request.options.as_ptr(),
            request.queue.as_ptr(),
        );
    }
    let event = request.answer(timeout)?;
    let mut count = 0;
    // SAFETY: the event is that of the request; its parts live as long, and the error is null or valid.
    unsafe {
        let descriptions = ffi::rd_kafka_DescribeTopics_result_topics(
            ffi::rd_kafka_event_DescribeTopics_result(event.as_ptr()),
            &mut count,
        );
        let Some(description) = first(descriptions, count) else { return Ok(Topic::default()) };
        let error = ffi::rd_kafka_TopicDescription_error(description);
        if !error.is_null() {
            RDKafkaErrorCode::check(ffi::rd_kafka_error_code(error), KafkaError::TopicRefused)?;
        }
        let mut partitions = 0;
        ffi::rd_kafka_TopicDescription_partitions(description, &mut partitions);
        let id = ffi::rd_kafka_TopicDescription_topic_id(description);
        let bits = match id.is_null() {
            true => (0, 0),
            false => (ffi::rd_kafka_Uuid_most_significant_bits(id), ffi::rd_kafka_Uuid_least_significant_bits(id)),
        };
        let id = (bits != (0, 0)).then(|| format!("{:016x}{:016x}", bits.0, bits.1));
        Ok(Topic { id, partitions })
    }
}

/// The first of an array of pointers.
///
/// # Safety
/// `array` is null, or has `count` elements.
unsafe fn first<T>(array: *mut *const T, count: usize) -> Option<*const T> {
    // SAFETY: by the contract above.
    (!array.is_null() && count > 0).then(|| unsafe { *array }).filter(|element| !element.is_null())
}

/// A request that is on its way, and where its answer comes.
struct Request {
    options: Owned<ffi::rd_kafka_AdminOptions_t>,
    queue: Owned<ffi::rd_kafka_queue_t>,
}

impl Request {
    fn new<C: ClientContext>(client: &Client<C>, operation: i32, timeout: Duration) -> KafkaResult<Self> {
        let unmade = || KafkaError::Topic("a request could not be made".into());
        // SAFETY: the handle is valid; options and queue are ours.
        let (options, queue) = unsafe {
            (ffi::rd_kafka_AdminOptions_new(client.as_ptr(), operation), ffi::rd_kafka_queue_new(client.as_ptr()))
        };
        let options = Owned::new(options, ffi::rd_kafka_AdminOptions_destroy).ok_or_else(unmade)?;
        let queue = Owned::new(queue, ffi::rd_kafka_queue_destroy).ok_or_else(unmade)?;
        let mut reason = Reason::new();
        // SAFETY: the options and the buffer are valid.
        let code = unsafe {
            ffi::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                millis(timeout),
                reason.as_mut_ptr(),
                Reason::SIZE,
            )
        };
        RDKafkaErrorCode::check(code, KafkaError::TopicRefused)?;
        Ok(Self { options, queue })
    }

    /// Waits for the answer, or for the request to time out.
    fn answer(&self, timeout: Duration) -> KafkaResult<Owned<ffi::rd_kafka_event_t>> {
        // SAFETY: the queue is valid; the event is ours.
        let event = unsafe { ffi::rd_kafka_queue_poll(self.queue.as_ptr(), millis(timeout.saturating_add(GRACE))) };
        let event = Owned::new(event, ffi::rd_kafka_event_destroy)
            .ok_or(KafkaError::TopicRefused(RDKafkaErrorCode::TimedOut))?;
        // SAFETY: the event is valid.
        RDKafkaErrorCode::check(unsafe { ffi::rd_kafka_event_error(event.as_ptr()) }, KafkaError::TopicRefused)?;
        Ok(event)
    }
}

/// librdkafka reports a request's timeout a little after it.
const GRACE: Duration = Duration::from_secs(1);

/// A value of librdkafka's with the function that destroys it.
struct Owned<T> {
    value: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes `value` over, which has no other owner; nothing where it is null.
    fn new(value: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(value).map(|value| Self { value, destroy })
    }

    fn as_ptr(&self) -> *mut T {
        self.value.as_ptr()
    }

    /// As an array of one.
    fn as_mut(&mut self) -> *mut *mut T {
        std::ptr::from_mut(&mut self.value).cast()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: owned, and used no more.
        unsafe { (self.destroy)(self.as_ptr()) }
    }
}
