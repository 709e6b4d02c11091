use std::ffi::CStr;
use std::ptr::NonNull;

use libc::{c_char, c_int, c_void};

use crate::config::{NativeConfig, Reason};
use crate::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use crate::ffi;

/// Callbacks of a client. They run on librdkafka's threads and on the thread that polls.
pub trait ClientContext: Send + Sync + 'static {
    /// A line of librdkafka's log; `level` is syslog's. Each failed attempt to connect is one: these are logged at level
    /// debug, and `error` reports the outage.
    fn log(&self, level: i32, facility: &str, message: &str) {
        match level {
            _ if matches!(facility, "FAIL" | "ERROR") => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
            ..=3 => tracing::error!(target: "librdkafka", facility, "{message}"),
            4 => tracing::warn!(target: "librdkafka", facility, "{message}"),
            5 | 6 => tracing::info!(target: "librdkafka", facility, "{message}"),
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    /// An error of the client as a whole. librdkafka recovers on its own from all but `Fatal`.
    fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        match code {
            RDKafkaErrorCode::Fatal => tracing::error!(target: "librdkafka", "{reason}"),
            RDKafkaErrorCode::BrokerTransportFailure => {
                tracing::debug!(target: "librdkafka", error = %code, "{reason}")
            }
            _ => tracing::warn!(target: "librdkafka", error = %code, "{reason}"),
        }
    }
}

/// Logs, and does nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultClientContext;

impl ClientContext for DefaultClientContext {}

/// Owns a librdkafka handle and the context that its callbacks see.
pub(crate) struct Client<C> {
    handle: NonNull<ffi::rd_kafka_t>,
    // Boxed: callbacks hold its address. Freed after the handle, see `drop`.
    context: Box<C>,
}

// SAFETY: librdkafka handles may be used from any thread, and contexts are Send and Sync.
unsafe impl<C: ClientContext> Send for Client<C> {}
// SAFETY: as above.
unsafe impl<C: ClientContext> Sync for Client<C> {}

/// librdkafka 2.3, as `rd_kafka_version` encodes it. The library that is loaded may be older than the one linked against.
const NEEDED: c_int = 0x0203_0000;

impl<C: ClientContext> Client<C> {
    pub(crate) fn new(kind: c_int, config: NativeConfig, context: C) -> KafkaResult<Self> {
        // SAFETY: takes nothing and returns a number.
        let version = unsafe { ffi::rd_kafka_version() };
        if version < NEEDED {
            return Err(KafkaError::LibraryTooOld(version));
        }
        let context = Box::new(context);
        let mut reason = Reason::new();
        // SAFETY: the configuration is valid; the context's address is stable and outlives the handle.
        let handle = unsafe {
            ffi::rd_kafka_conf_set_opaque(config.as_ptr(), std::ptr::from_ref::<C>(&context).cast_mut().cast());
            ffi::rd_kafka_conf_set_log_cb(config.as_ptr(), on_log::<C>);
            ffi::rd_kafka_conf_set_error_cb(config.as_ptr(), on_error::<C>);
            ffi::rd_kafka_new(kind, config.as_ptr(), reason.as_mut_ptr(), Reason::SIZE)
        };
        let handle = NonNull::new(handle).ok_or_else(|| KafkaError::ClientCreation(reason.into_string()))?;
        // On success the handle owns the configuration.
        config.release();
        Ok(Self { handle, context })
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::rd_kafka_t {
        self.handle.as_ptr()
    }

    pub(crate) fn context(&self) -> &C {
        &self.context
    }

    pub(crate) fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut reason = Reason::new();
        // SAFETY: handle and buffer are valid.
        let code = unsafe { ffi::rd_kafka_fatal_error(self.as_ptr(), reason.as_mut_ptr(), Reason::SIZE) };
        (code != 0).then(|| (RDKafkaErrorCode::new(code), reason.into_string()))
    }
}

impl<C> Drop for Client<C> {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and used no more. Waits for librdkafka's threads, so no callback runs after it.
        unsafe { ffi::rd_kafka_destroy(self.handle.as_ptr()) }
    }
}

/// The text at `pointer`, or nothing when it is null.
///
/// # Safety
/// A pointer that is not null is a NUL-terminated string that lives for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> std::borrow::Cow<'a, str> {
    if pointer.is_null() {
        return "".into();
    }
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy()
}

unsafe extern "C" fn on_log<C: ClientContext>(
    rk: *const ffi::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the opaque is the context set in `Client::new`, which outlives the handle; the texts live for the call.
    unsafe {
        let Some(context) = ffi::rd_kafka_opaque(rk).cast::<C>().as_ref() else { return };
        context.log(level, &text(facility), &text(message));
    }
}

unsafe extern "C" fn on_error<C: ClientContext>(
    _: *mut ffi::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: as in `on_log`.
    unsafe {
        let Some(context) = opaque.cast::<C>().as_ref() else { return };
        context.error(RDKafkaErrorCode::new(code), &text(reason));
    }
}
