use std::time::Duration;

use backoff::Backoff;

const RETRIES: Backoff = match Backoff::new(Duration::from_millis(100), Duration::from_secs(2)) {
    Ok(backoff) => backoff,
    Err(_) => unreachable!(),
};

/// The pauses between the attempts of a thread that may block.
pub(crate) struct Delay(Backoff);

impl Default for Delay {
    fn default() -> Self {
        Self(RETRIES)
    }
}

impl Delay {
    pub(crate) fn wait(&mut self) {
        std::thread::sleep(self.0.next_delay());
    }
}
