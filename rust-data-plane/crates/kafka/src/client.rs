use std::ptr::NonNull;

use libc::{c_char, c_int, c_void};

use crate::config::{NativeConfig, Reason};
use crate::context::ClientContext;
use crate::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use crate::ffi;
use crate::native::text;

/// Owns a librdkafka handle and the context that its callbacks see.
pub(crate) struct Client<C> {
    handle: Handle,
    /// Declared after the handle, and so freed after it.
    context: Context<C>,
}

/// The callbacks' view of a context: one pointer for all of its life, which no move invalidates.
struct Context<C>(NonNull<C>);

impl<C> Context<C> {
    fn new(context: C) -> Self {
        Self(NonNull::from(Box::leak(Box::new(context))))
    }
}

impl<C> Drop for Context<C> {
    fn drop(&mut self) {
        // SAFETY: made of a box in `new`, and used no more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// A librdkafka handle.
struct Handle(NonNull<ffi::rd_kafka_t>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and used no more. Waits for librdkafka's threads, so no callback runs after it.
        unsafe { ffi::rd_kafka_destroy(self.0.as_ptr()) }
    }
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
        let context = Context::new(context);
        let mut reason = Reason::new();
        // SAFETY: the configuration is valid; the context outlives the handle.
        let handle = unsafe {
            ffi::rd_kafka_conf_set_opaque(config.as_ptr(), context.0.as_ptr().cast());
            ffi::rd_kafka_conf_set_log_cb(config.as_ptr(), on_log::<C>);
            ffi::rd_kafka_conf_set_error_cb(config.as_ptr(), on_error::<C>);
            ffi::rd_kafka_new(kind, config.as_ptr(), reason.as_mut_ptr(), Reason::SIZE)
        };
        let handle = NonNull::new(handle).ok_or_else(|| KafkaError::ClientCreation(reason.into_string()))?;
        // On success the handle owns the configuration.
        config.release();
        Ok(Self { handle: Handle(handle), context })
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::rd_kafka_t {
        self.handle.0.as_ptr()
    }

    pub(crate) fn context(&self) -> &C {
        // SAFETY: valid until it is dropped, and only shared references to it are ever made.
        unsafe { self.context.0.as_ref() }
    }

    pub(crate) fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut reason = Reason::new();
        // SAFETY: handle and buffer are valid.
        let code = unsafe { ffi::rd_kafka_fatal_error(self.as_ptr(), reason.as_mut_ptr(), Reason::SIZE) };
        (code != 0).then(|| (RDKafkaErrorCode::new(code), reason.into_string()))
    }
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
