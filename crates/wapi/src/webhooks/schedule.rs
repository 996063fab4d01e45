//! How long to wait before each attempt to deliver. Pure, but for the dice.

use std::time::Duration;

/// The pause before each attempt, in milliseconds. Ends after about two minutes: what waits here waits in memory.
const PAUSES: [u64; 7] = [0, 500, 2_000, 5_000, 15_000, 30_000, 60_000];

/// The pauses with ±20 %, so that what failed together is not tried together.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    PAUSES.into_iter().map(|pause| Duration::from_millis(pause).mul_f64(0.8 + 0.4 * rand::random::<f64>()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_attempt_is_at_once_and_the_last_is_near() {
        let pauses: Vec<_> = super::pauses().collect();
        assert!(pauses[0].is_zero());
        assert!(pauses.iter().sum::<std::time::Duration>().as_secs() < 150);
    }
}
