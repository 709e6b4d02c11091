//! librdkafka's in-memory cluster, for tests.

use std::ptr::NonNull;

use crate::client::Client;
use crate::config::ClientConfig;
use crate::context::DefaultClientContext;
use crate::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use crate::ffi;
use crate::native::{c_string, text};

/// A cluster that serves real clients over TCP until it is dropped. Each partition keeps only about 5 MB.
pub struct MockCluster {
    cluster: NonNull<ffi::rd_kafka_mock_cluster_t>,
    _client: Client<DefaultClientContext>,
}

// SAFETY: the cluster's functions may be called from any thread.
unsafe impl Send for MockCluster {}
// SAFETY: as above.
unsafe impl Sync for MockCluster {}

impl MockCluster {
    /// Starts one with `brokers` brokers.
    pub fn new(brokers: i32) -> KafkaResult<Self> {
        let client = Client::new(ffi::RD_KAFKA_PRODUCER, ClientConfig::new().native()?, DefaultClientContext)?;
        // SAFETY: the handle is valid, and kept until the cluster is destroyed.
        let cluster = unsafe { ffi::rd_kafka_mock_cluster_new(client.as_ptr(), brokers) };
        let cluster = NonNull::new(cluster).ok_or_else(|| KafkaError::MockCluster("it did not start".into()))?;
        Ok(Self { cluster, _client: client })
    }

    /// For `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        // SAFETY: the text lives as long as the cluster.
        unsafe { text(ffi::rd_kafka_mock_cluster_bootstraps(self.cluster.as_ptr())) }.into_owned()
    }

    /// Creates a topic.
    pub fn create_topic(&self, topic: &str, partitions: i32, replication: i32) -> KafkaResult<()> {
        let topic = c_string(topic)?;
        // SAFETY: cluster and name are valid.
        let code =
            unsafe { ffi::rd_kafka_mock_topic_create(self.cluster.as_ptr(), topic.as_ptr(), partitions, replication) };
        Self::check(code)
    }

    /// Makes the cluster answer requests for a topic with an error, until that is `NoError`.
    pub fn refuse_topic(&self, topic: &str, error: RDKafkaErrorCode) -> KafkaResult<()> {
        let topic = c_string(topic)?;
        // SAFETY: cluster and name are valid.
        unsafe { ffi::rd_kafka_mock_topic_set_error(self.cluster.as_ptr(), topic.as_ptr(), error.raw()) };
        Ok(())
    }

    /// Cuts a broker off.
    pub fn broker_down(&self, broker: i32) -> KafkaResult<()> {
        // SAFETY: the cluster is valid.
        Self::check(unsafe { ffi::rd_kafka_mock_broker_set_down(self.cluster.as_ptr(), broker) })
    }

    /// Brings a broker back.
    pub fn broker_up(&self, broker: i32) -> KafkaResult<()> {
        // SAFETY: the cluster is valid.
        Self::check(unsafe { ffi::rd_kafka_mock_broker_set_up(self.cluster.as_ptr(), broker) })
    }

    /// Makes a broker hold each answer back for so many milliseconds, with its connections open.
    pub fn delay_answers(&self, broker: i32, milliseconds: i32) -> KafkaResult<()> {
        // SAFETY: the cluster is valid.
        Self::check(unsafe { ffi::rd_kafka_mock_broker_set_rtt(self.cluster.as_ptr(), broker, milliseconds) })
    }

    fn check(code: i32) -> KafkaResult<()> {
        RDKafkaErrorCode::check(code, |code| KafkaError::MockCluster(code.to_string()))
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        // SAFETY: owned, and destroyed before its client.
        unsafe { ffi::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) }
    }
}
