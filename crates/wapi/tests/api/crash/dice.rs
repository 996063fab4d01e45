//! Chance that can be repeated. Pure.

use std::time::Duration;

/// Small, and the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn within(&mut self, limit: Duration) -> Duration {
        Duration::from_micros(self.below(limit.as_micros().try_into().expect("a short time")))
    }
}
