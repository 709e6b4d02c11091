//! The declarations of `rdkafka.h` and `rdkafka_mock.h` that are used.
#![allow(non_camel_case_types)]

use libc::{c_char, c_int, c_void, size_t, ssize_t};

macro_rules! opaque {
    ($($name:ident),*) => { $(
        #[repr(C)]
        pub(crate) struct $name {
            _private: [u8; 0],
        }
    )* };
}

opaque!(
    rd_kafka_t,
    rd_kafka_conf_t,
    rd_kafka_topic_t,
    rd_kafka_headers_t,
    rd_kafka_error_t,
    rd_kafka_consumer_group_metadata_t,
    rd_kafka_metadata_t,
    rd_kafka_queue_t,
    rd_kafka_event_t,
    rd_kafka_AdminOptions_t,
    rd_kafka_TopicCollection_t,
    rd_kafka_TopicDescription_t,
    rd_kafka_DescribeTopics_result_t,
    rd_kafka_NewTopic_t,
    rd_kafka_DeleteTopic_t,
    rd_kafka_CreateTopics_result_t,
    rd_kafka_DeleteTopics_result_t,
    rd_kafka_topic_result_t,
    rd_kafka_Uuid_t,
    rd_kafka_mock_cluster_t
);

pub(crate) type rd_kafka_resp_err_t = c_int;

pub(crate) const RD_KAFKA_PRODUCER: c_int = 0;
pub(crate) const RD_KAFKA_CONSUMER: c_int = 1;
pub(crate) const RD_KAFKA_CONF_OK: c_int = 0;
pub(crate) const RD_KAFKA_PURGE_F_QUEUE: c_int = 1;
pub(crate) const RD_KAFKA_PURGE_F_INFLIGHT: c_int = 2;
pub(crate) const RD_KAFKA_MSG_F_COPY: c_int = 2;
pub(crate) const RD_KAFKA_OFFSET_INVALID: i64 = -1001;

pub(crate) const RD_KAFKA_MSG_STATUS_NOT_PERSISTED: c_int = 0;

pub(crate) const RD_KAFKA_ADMIN_OP_CREATETOPICS: c_int = 1;
pub(crate) const RD_KAFKA_ADMIN_OP_DELETETOPICS: c_int = 2;
pub(crate) const RD_KAFKA_ADMIN_OP_DESCRIBETOPICS: c_int = 19;

pub(crate) const RD_KAFKA_VTYPE_TOPIC: c_int = 1;
pub(crate) const RD_KAFKA_VTYPE_PARTITION: c_int = 3;
pub(crate) const RD_KAFKA_VTYPE_VALUE: c_int = 4;
pub(crate) const RD_KAFKA_VTYPE_KEY: c_int = 5;
pub(crate) const RD_KAFKA_VTYPE_OPAQUE: c_int = 6;
pub(crate) const RD_KAFKA_VTYPE_MSGFLAGS: c_int = 7;
pub(crate) const RD_KAFKA_VTYPE_TIMESTAMP: c_int = 8;
pub(crate) const RD_KAFKA_VTYPE_HEADERS: c_int = 10;

#[repr(C)]
pub(crate) struct rd_kafka_message_t {
    pub(crate) err: rd_kafka_resp_err_t,
    pub(crate) rkt: *mut rd_kafka_topic_t,
    pub(crate) partition: i32,
    pub(crate) payload: *mut c_void,
    pub(crate) len: size_t,
    pub(crate) key: *mut c_void,
    pub(crate) key_len: size_t,
    pub(crate) offset: i64,
    /// Of a record that was sent: what it was sent with as its opaque.
    pub(crate) _private: *mut c_void,
}

#[repr(C)]
pub(crate) struct rd_kafka_topic_partition_t {
    pub(crate) topic: *mut c_char,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: *mut c_void,
    pub(crate) metadata_size: size_t,
    pub(crate) opaque: *mut c_void,
    pub(crate) err: rd_kafka_resp_err_t,
    pub(crate) _private: *mut c_void,
}

#[repr(C)]
pub(crate) struct rd_kafka_topic_partition_list_t {
    pub(crate) cnt: c_int,
    pub(crate) size: c_int,
    pub(crate) elems: *mut rd_kafka_topic_partition_t,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Mem {
    pub(crate) ptr: *const c_void,
    pub(crate) size: size_t,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union rd_kafka_vu_value {
    pub(crate) cstr: *const c_char,
    pub(crate) i: c_int,
    pub(crate) i32: i32,
    pub(crate) i64: i64,
    pub(crate) mem: Mem,
    pub(crate) ptr: *mut c_void,
    pub(crate) headers: *mut rd_kafka_headers_t,
    pub(crate) _pad: [c_char; 64],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct rd_kafka_vu_t {
    pub(crate) vtype: c_int,
    pub(crate) u: rd_kafka_vu_value,
}

pub(crate) type DeliveryCallback = unsafe extern "C" fn(*mut rd_kafka_t, *const rd_kafka_message_t, *mut c_void);
pub(crate) type ErrorCallback = unsafe extern "C" fn(*mut rd_kafka_t, c_int, *const c_char, *mut c_void);
pub(crate) type LogCallback = unsafe extern "C" fn(*const rd_kafka_t, c_int, *const c_char, *const c_char);
pub(crate) type RebalanceCallback =
    unsafe extern "C" fn(*mut rd_kafka_t, rd_kafka_resp_err_t, *mut rd_kafka_topic_partition_list_t, *mut c_void);

unsafe extern "C" {
    pub(crate) fn rd_kafka_err2str(err: rd_kafka_resp_err_t) -> *const c_char;
    pub(crate) fn rd_kafka_err2name(err: rd_kafka_resp_err_t) -> *const c_char;

    pub(crate) fn rd_kafka_error_code(error: *const rd_kafka_error_t) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_error_string(error: *const rd_kafka_error_t) -> *const c_char;
    pub(crate) fn rd_kafka_error_is_fatal(error: *const rd_kafka_error_t) -> c_int;
    pub(crate) fn rd_kafka_error_is_retriable(error: *const rd_kafka_error_t) -> c_int;
    pub(crate) fn rd_kafka_error_txn_requires_abort(error: *const rd_kafka_error_t) -> c_int;
    pub(crate) fn rd_kafka_error_destroy(error: *mut rd_kafka_error_t);

    pub(crate) fn rd_kafka_conf_new() -> *mut rd_kafka_conf_t;
    pub(crate) fn rd_kafka_conf_destroy(conf: *mut rd_kafka_conf_t);
    pub(crate) fn rd_kafka_conf_set(
        conf: *mut rd_kafka_conf_t,
        name: *const c_char,
        value: *const c_char,
        errstr: *mut c_char,
        errstr_size: size_t,
    ) -> c_int;
    pub(crate) fn rd_kafka_conf_set_opaque(conf: *mut rd_kafka_conf_t, opaque: *mut c_void);
    pub(crate) fn rd_kafka_conf_set_dr_msg_cb(conf: *mut rd_kafka_conf_t, cb: DeliveryCallback);
    pub(crate) fn rd_kafka_conf_set_error_cb(conf: *mut rd_kafka_conf_t, cb: ErrorCallback);
    pub(crate) fn rd_kafka_conf_set_log_cb(conf: *mut rd_kafka_conf_t, cb: LogCallback);
    pub(crate) fn rd_kafka_conf_set_rebalance_cb(conf: *mut rd_kafka_conf_t, cb: RebalanceCallback);

    pub(crate) fn rd_kafka_version() -> c_int;
    pub(crate) fn rd_kafka_new(
        kind: c_int,
        conf: *mut rd_kafka_conf_t,
        errstr: *mut c_char,
        errstr_size: size_t,
    ) -> *mut rd_kafka_t;
    pub(crate) fn rd_kafka_destroy(rk: *mut rd_kafka_t);
    pub(crate) fn rd_kafka_opaque(rk: *const rd_kafka_t) -> *mut c_void;
    pub(crate) fn rd_kafka_fatal_error(
        rk: *mut rd_kafka_t,
        errstr: *mut c_char,
        errstr_size: size_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_test_fatal_error(
        rk: *mut rd_kafka_t,
        err: rd_kafka_resp_err_t,
        reason: *const c_char,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_message_status(message: *const rd_kafka_message_t) -> c_int;
    pub(crate) fn rd_kafka_metadata(
        rk: *mut rd_kafka_t,
        all_topics: c_int,
        only_rkt: *mut rd_kafka_topic_t,
        metadata: *mut *const rd_kafka_metadata_t,
        timeout_ms: c_int,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_metadata_destroy(metadata: *const rd_kafka_metadata_t);
    pub(crate) fn rd_kafka_poll(rk: *mut rd_kafka_t, timeout_ms: c_int) -> c_int;
    pub(crate) fn rd_kafka_outq_len(rk: *mut rd_kafka_t) -> c_int;
    pub(crate) fn rd_kafka_flush(rk: *mut rd_kafka_t, timeout_ms: c_int) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_purge(rk: *mut rd_kafka_t, flags: c_int) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_produceva(
        rk: *mut rd_kafka_t,
        vus: *const rd_kafka_vu_t,
        cnt: size_t,
    ) -> *mut rd_kafka_error_t;

    pub(crate) fn rd_kafka_headers_new(initial_count: size_t) -> *mut rd_kafka_headers_t;
    pub(crate) fn rd_kafka_headers_destroy(headers: *mut rd_kafka_headers_t);
    pub(crate) fn rd_kafka_headers_copy(headers: *const rd_kafka_headers_t) -> *mut rd_kafka_headers_t;
    pub(crate) fn rd_kafka_header_add(
        headers: *mut rd_kafka_headers_t,
        name: *const c_char,
        name_size: ssize_t,
        value: *const c_void,
        value_size: ssize_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_header_cnt(headers: *const rd_kafka_headers_t) -> size_t;
    pub(crate) fn rd_kafka_header_get_all(
        headers: *const rd_kafka_headers_t,
        index: size_t,
        name: *mut *const c_char,
        value: *mut *const c_void,
        size: *mut size_t,
    ) -> rd_kafka_resp_err_t;

    pub(crate) fn rd_kafka_topic_name(rkt: *const rd_kafka_topic_t) -> *const c_char;
    pub(crate) fn rd_kafka_message_headers(
        message: *const rd_kafka_message_t,
        headers: *mut *mut rd_kafka_headers_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_message_timestamp(message: *const rd_kafka_message_t, kind: *mut c_int) -> i64;
    pub(crate) fn rd_kafka_message_destroy(message: *mut rd_kafka_message_t);

    pub(crate) fn rd_kafka_topic_partition_list_new(size: c_int) -> *mut rd_kafka_topic_partition_list_t;
    pub(crate) fn rd_kafka_topic_partition_list_destroy(list: *mut rd_kafka_topic_partition_list_t);
    pub(crate) fn rd_kafka_topic_partition_list_copy(
        list: *const rd_kafka_topic_partition_list_t,
    ) -> *mut rd_kafka_topic_partition_list_t;
    pub(crate) fn rd_kafka_topic_partition_list_add(
        list: *mut rd_kafka_topic_partition_list_t,
        topic: *const c_char,
        partition: i32,
    ) -> *mut rd_kafka_topic_partition_t;

    pub(crate) fn rd_kafka_poll_set_consumer(rk: *mut rd_kafka_t) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_subscribe(
        rk: *mut rd_kafka_t,
        topics: *const rd_kafka_topic_partition_list_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_consumer_poll(rk: *mut rd_kafka_t, timeout_ms: c_int) -> *mut rd_kafka_message_t;
    pub(crate) fn rd_kafka_commit(
        rk: *mut rd_kafka_t,
        offsets: *const rd_kafka_topic_partition_list_t,
        asynchronously: c_int,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_committed(
        rk: *mut rd_kafka_t,
        partitions: *mut rd_kafka_topic_partition_list_t,
        timeout_ms: c_int,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_seek_partitions(
        rk: *mut rd_kafka_t,
        partitions: *mut rd_kafka_topic_partition_list_t,
        timeout_ms: c_int,
    ) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_consumer_close(rk: *mut rd_kafka_t) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_rebalance_protocol(rk: *mut rd_kafka_t) -> *const c_char;
    pub(crate) fn rd_kafka_assign(
        rk: *mut rd_kafka_t,
        partitions: *const rd_kafka_topic_partition_list_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_incremental_assign(
        rk: *mut rd_kafka_t,
        partitions: *const rd_kafka_topic_partition_list_t,
    ) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_incremental_unassign(
        rk: *mut rd_kafka_t,
        partitions: *const rd_kafka_topic_partition_list_t,
    ) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_assignment(
        rk: *mut rd_kafka_t,
        partitions: *mut *mut rd_kafka_topic_partition_list_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_query_watermark_offsets(
        rk: *mut rd_kafka_t,
        topic: *const c_char,
        partition: i32,
        low: *mut i64,
        high: *mut i64,
        timeout_ms: c_int,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_get_watermark_offsets(
        rk: *mut rd_kafka_t,
        topic: *const c_char,
        partition: i32,
        low: *mut i64,
        high: *mut i64,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_consumer_group_metadata(rk: *mut rd_kafka_t) -> *mut rd_kafka_consumer_group_metadata_t;
    pub(crate) fn rd_kafka_consumer_group_metadata_destroy(metadata: *mut rd_kafka_consumer_group_metadata_t);

    pub(crate) fn rd_kafka_init_transactions(rk: *mut rd_kafka_t, timeout_ms: c_int) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_begin_transaction(rk: *mut rd_kafka_t) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_send_offsets_to_transaction(
        rk: *mut rd_kafka_t,
        offsets: *const rd_kafka_topic_partition_list_t,
        metadata: *const rd_kafka_consumer_group_metadata_t,
        timeout_ms: c_int,
    ) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_commit_transaction(rk: *mut rd_kafka_t, timeout_ms: c_int) -> *mut rd_kafka_error_t;
    pub(crate) fn rd_kafka_abort_transaction(rk: *mut rd_kafka_t, timeout_ms: c_int) -> *mut rd_kafka_error_t;

    pub(crate) fn rd_kafka_queue_new(rk: *mut rd_kafka_t) -> *mut rd_kafka_queue_t;
    pub(crate) fn rd_kafka_queue_destroy(queue: *mut rd_kafka_queue_t);
    pub(crate) fn rd_kafka_queue_poll(queue: *mut rd_kafka_queue_t, timeout_ms: c_int) -> *mut rd_kafka_event_t;
    pub(crate) fn rd_kafka_event_error(event: *mut rd_kafka_event_t) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_event_destroy(event: *mut rd_kafka_event_t);
    pub(crate) fn rd_kafka_AdminOptions_new(rk: *mut rd_kafka_t, operation: c_int) -> *mut rd_kafka_AdminOptions_t;
    pub(crate) fn rd_kafka_AdminOptions_destroy(options: *mut rd_kafka_AdminOptions_t);
    pub(crate) fn rd_kafka_AdminOptions_set_request_timeout(
        options: *mut rd_kafka_AdminOptions_t,
        timeout_ms: c_int,
        errstr: *mut c_char,
        errstr_size: size_t,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_TopicCollection_of_topic_names(
        topics: *const *const c_char,
        count: size_t,
    ) -> *mut rd_kafka_TopicCollection_t;
    pub(crate) fn rd_kafka_TopicCollection_destroy(topics: *mut rd_kafka_TopicCollection_t);
    pub(crate) fn rd_kafka_DescribeTopics(
        rk: *mut rd_kafka_t,
        topics: *const rd_kafka_TopicCollection_t,
        options: *const rd_kafka_AdminOptions_t,
        queue: *mut rd_kafka_queue_t,
    );
    pub(crate) fn rd_kafka_event_DescribeTopics_result(
        event: *mut rd_kafka_event_t,
    ) -> *const rd_kafka_DescribeTopics_result_t;
    pub(crate) fn rd_kafka_DescribeTopics_result_topics(
        result: *const rd_kafka_DescribeTopics_result_t,
        count: *mut size_t,
    ) -> *mut *const rd_kafka_TopicDescription_t;
    pub(crate) fn rd_kafka_TopicDescription_error(
        description: *const rd_kafka_TopicDescription_t,
    ) -> *const rd_kafka_error_t;
    pub(crate) fn rd_kafka_TopicDescription_topic_id(
        description: *const rd_kafka_TopicDescription_t,
    ) -> *const rd_kafka_Uuid_t;
    pub(crate) fn rd_kafka_TopicDescription_partitions(
        description: *const rd_kafka_TopicDescription_t,
        count: *mut usize,
    ) -> *mut *const c_void;
    pub(crate) fn rd_kafka_Uuid_most_significant_bits(uuid: *const rd_kafka_Uuid_t) -> i64;
    pub(crate) fn rd_kafka_Uuid_least_significant_bits(uuid: *const rd_kafka_Uuid_t) -> i64;
    pub(crate) fn rd_kafka_NewTopic_new(
        topic: *const c_char,
        partitions: c_int,
        replication: c_int,
        errstr: *mut c_char,
        errstr_size: size_t,
    ) -> *mut rd_kafka_NewTopic_t;
    pub(crate) fn rd_kafka_NewTopic_set_config(
        topic: *mut rd_kafka_NewTopic_t,
        name: *const c_char,
        value: *const c_char,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_NewTopic_destroy(topic: *mut rd_kafka_NewTopic_t);
    pub(crate) fn rd_kafka_CreateTopics(
        rk: *mut rd_kafka_t,
        topics: *mut *mut rd_kafka_NewTopic_t,
        count: size_t,
        options: *const rd_kafka_AdminOptions_t,
        queue: *mut rd_kafka_queue_t,
    );
    pub(crate) fn rd_kafka_event_CreateTopics_result(
        event: *mut rd_kafka_event_t,
    ) -> *const rd_kafka_CreateTopics_result_t;
    pub(crate) fn rd_kafka_CreateTopics_result_topics(
        result: *const rd_kafka_CreateTopics_result_t,
        count: *mut size_t,
    ) -> *mut *const rd_kafka_topic_result_t;
    pub(crate) fn rd_kafka_DeleteTopic_new(topic: *const c_char) -> *mut rd_kafka_DeleteTopic_t;
    pub(crate) fn rd_kafka_DeleteTopic_destroy(topic: *mut rd_kafka_DeleteTopic_t);
    pub(crate) fn rd_kafka_DeleteTopics(
        rk: *mut rd_kafka_t,
        topics: *mut *mut rd_kafka_DeleteTopic_t,
        count: size_t,
        options: *const rd_kafka_AdminOptions_t,
        queue: *mut rd_kafka_queue_t,
    );
    pub(crate) fn rd_kafka_event_DeleteTopics_result(
        event: *mut rd_kafka_event_t,
    ) -> *const rd_kafka_DeleteTopics_result_t;
    pub(crate) fn rd_kafka_DeleteTopics_result_topics(
        result: *const rd_kafka_DeleteTopics_result_t,
        count: *mut size_t,
    ) -> *mut *const rd_kafka_topic_result_t;
    pub(crate) fn rd_kafka_topic_result_error(result: *const rd_kafka_topic_result_t) -> rd_kafka_resp_err_t;

    pub(crate) fn rd_kafka_mock_cluster_new(rk: *mut rd_kafka_t, brokers: c_int) -> *mut rd_kafka_mock_cluster_t;
    pub(crate) fn rd_kafka_mock_cluster_destroy(cluster: *mut rd_kafka_mock_cluster_t);
    pub(crate) fn rd_kafka_mock_cluster_bootstraps(cluster: *const rd_kafka_mock_cluster_t) -> *const c_char;
    pub(crate) fn rd_kafka_mock_topic_create(
        cluster: *mut rd_kafka_mock_cluster_t,
        topic: *const c_char,
        partitions: c_int,
        replication: c_int,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_mock_topic_set_error(
        cluster: *mut rd_kafka_mock_cluster_t,
        topic: *const c_char,
        error: rd_kafka_resp_err_t,
    );
    pub(crate) fn rd_kafka_mock_broker_set_rtt(
        cluster: *mut rd_kafka_mock_cluster_t,
        broker_id: i32,
        rtt_ms: c_int,
    ) -> c_int;
    pub(crate) fn rd_kafka_mock_broker_set_down(
        cluster: *mut rd_kafka_mock_cluster_t,
        broker: i32,
    ) -> rd_kafka_resp_err_t;
    pub(crate) fn rd_kafka_mock_broker_set_up(
        cluster: *mut rd_kafka_mock_cluster_t,
        broker: i32,
    ) -> rd_kafka_resp_err_t;
}
