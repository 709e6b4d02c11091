//! Between Rust's values and librdkafka's.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

use libc::c_char;

use crate::error::KafkaResult;

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

/// A topic's name as librdkafka wants it.
pub(crate) fn c_string(text: &str) -> KafkaResult<CString> {
    Ok(CString::new(text)?)
}

/// librdkafka's timeouts are milliseconds; -1 waits for ever, so longer ones are cut.
pub(crate) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

pub(crate) fn non_null<T>(pointer: *mut T) -> Option<NonNull<T>> {
    NonNull::new(pointer)
}
