//! How a client is set up.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use crate::context::ClientContext;
use crate::error::{KafkaError, KafkaResult};
use crate::ffi;

/// Settings by librdkafka's own names.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    settings: BTreeMap<String, String>,
}

/// A client that can be made from settings alone.
pub trait FromClientConfig: Sized {
    /// Makes it.
    fn from_config(config: &ClientConfig) -> KafkaResult<Self>;
}

/// A client that can be made from settings and a context.
pub trait FromClientConfigAndContext<C: ClientContext>: Sized {
    /// Makes it.
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self>;
}

impl ClientConfig {
    /// No settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.settings.insert(key.into(), value.into());
        self
    }

    /// Makes a client.
    pub fn create<T: FromClientConfig>(&self) -> KafkaResult<T> {
        T::from_config(self)
    }

    /// Makes a client with a context.
    pub fn create_with_context<C: ClientContext, T: FromClientConfigAndContext<C>>(
        &self,
        context: C,
    ) -> KafkaResult<T> {
        T::from_config_and_context(self, context)
    }

    pub(crate) fn native(&self) -> KafkaResult<NativeConfig> {
        // SAFETY: returns a new configuration, owned by NativeConfig.
        let config = NativeConfig(unsafe { ffi::rd_kafka_conf_new() });
        for (key, value) in &self.settings {
            let (name, setting) = (CString::new(key.as_str())?, CString::new(value.as_str())?);
            let mut reason = Reason::new();
            // SAFETY: all pointers are valid for the call, the buffer with its true size.
            let result = unsafe {
                ffi::rd_kafka_conf_set(config.0, name.as_ptr(), setting.as_ptr(), reason.as_mut_ptr(), Reason::SIZE)
            };
            if result != ffi::RD_KAFKA_CONF_OK {
                return Err(KafkaError::ClientConfig {
                    key: key.clone(),
                    value: value.clone(),
                    reason: reason.into_string(),
                });
            }
        }
        Ok(config)
    }
}

/// Owns a configuration until a client takes it over.
pub(crate) struct NativeConfig(*mut ffi::rd_kafka_conf_t);

impl NativeConfig {
    pub(crate) fn as_ptr(&self) -> *mut ffi::rd_kafka_conf_t {
        self.0
    }

    pub(crate) fn release(self) {
        std::mem::forget(self);
    }
}

impl Drop for NativeConfig {
    fn drop(&mut self) {
        // SAFETY: owned, and taken over by no client.
        unsafe { ffi::rd_kafka_conf_destroy(self.0) }
    }
}

/// Where librdkafka writes why it refused.
pub(crate) struct Reason([u8; Self::SIZE]);

impl Reason {
    pub(crate) const SIZE: usize = 512;

    pub(crate) fn new() -> Self {
        Self([0; Self::SIZE])
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_char {
        self.0.as_mut_ptr().cast()
    }

    pub(crate) fn into_string(self) -> String {
        CStr::from_bytes_until_nul(&self.0).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
