use std::time::Duration;

use rand::RngExt;

const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(2);

/// Full jitter between attempts.
#[derive(Default)]
pub(crate) struct Delay(u32);

impl Delay {
    pub(crate) fn wait(&mut self) {
        let limit = RETRY_BASE.saturating_mul(1 << self.0.min(10)).min(RETRY_CAP);
        self.0 += 1;
        std::thread::sleep(limit.mul_f64(rand::rng().random_range(0.0..=1.0)));
    }
}
