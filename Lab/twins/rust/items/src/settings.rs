use thiserror::Error;

/// The environment of the twin.
pub(crate) struct Settings {
    /// Where it listens: host:port.
    pub(crate) listen: String,
    /// `None` where there is no database.
    pub(crate) database_url: Option<String>,
    /// Connections to the database.
    pub(crate) pool_size: usize,
}

#[derive(Debug, Error)]
pub(crate) enum SettingError {
    #[error("LISTEN is not set")]
    ListenMissing,
    #[error("POOL_SIZE must be 1 to 1000")]
    PoolSize,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, SettingError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pool_size = match variable("POOL_SIZE") {
            Some(text) => text.parse().ok().filter(|size| (1..=1000).contains(size)).ok_or(SettingError::PoolSize)?,
            None => 16,
        };
        Ok(Self {
            listen: variable("LISTEN").ok_or(SettingError::ListenMissing)?,
            database_url: variable("DATABASE_URL"),
            pool_size,
        })
    }
}
