//! Waveforms: loudness over time, as phones show it for voice notes. Pure.

/// Number and maximum of the levels that phones show.
const LEVEL_COUNT: usize = 64;
const MAX_LEVEL: u64 = 100;
/// Maximum number of parts in memory. Beyond it, pairs are merged, so that long audio takes no more
/// memory than short audio.
const MAX_PARTS: usize = 64 * LEVEL_COUNT;
/// Initial number of samples per part.
const FIRST_WIDTH: u64 = 64;

/// Computes levels from a stream of samples: 16 bits each, little-endian, mono.
#[derive(Debug)]
pub(in crate::media) struct Waveform {
    /// The sum of the absolute samples of each complete part.
    parts: Vec<u64>,
    width: u64,
    /// The incomplete part: its sum, and its number of samples.
    last: (u64, u64),
    /// The first byte of an incomplete sample.
    half: Option<u8>,
}

impl Waveform {
    pub fn new() -> Self {
        Self {
            parts: Vec::new(),
            width: FIRST_WIDTH,
            last: (0, 0),
            half: None,
        }
    }

    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if let (Some(low), Some((&high, rest))) = (self.half, bytes.split_first()) {
            self.add_sample([low, high]);
            (self.half, bytes) = (None, rest);
        }
        let (samples, rest) = bytes.as_chunks::<2>();
        samples.iter().for_each(|sample| self.add_sample(*sample));
        self.half = self.half.or(rest.first().copied());
    }

    fn add_sample(&mut self, bytes: [u8; 2]) {
        let (sum, count) = self.last;
        self.last = (
            sum + u64::from(i16::from_le_bytes(bytes).unsigned_abs()),
            count + 1,
        );
        if self.last.1 < self.width {
            return;
        }
        self.parts.push(self.last.0);
        self.last = (0, 0);
        if self.parts.len() == MAX_PARTS {
            self.parts = self
                .parts
                .as_chunks::<2>()
                .0
                .iter()
                .map(|two| two.iter().sum())
                .collect();
            self.width *= 2;
        }
    }

    /// Returns the levels; the loudest is 100. `None` if there were no samples.
    pub fn levels(mut self) -> Option<Vec<u8>> {
        // Scaled as if the part were complete.
        self.parts
            .extend((self.last.0 * self.width).checked_div(self.last.1));
        let parts = self.parts.len();
        if parts == 0 {
            return None;
        }
        let average = |level: usize| {
            let from = level * parts / LEVEL_COUNT;
            let to = ((level + 1) * parts / LEVEL_COUNT).max(from + 1);
            self.parts[from..to].iter().sum::<u64>() / (to - from) as u64
        };
        let averages: Vec<u64> = (0..LEVEL_COUNT).map(average).collect();
        let most = averages.iter().copied().max().unwrap_or_default().max(1);
        Some(
            averages
                .into_iter()
                .map(|average| u8::try_from(average * MAX_LEVEL / most).unwrap_or(u8::MAX))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::media::convert::waveform::*;

    fn of(samples: impl Iterator<Item = i16>, piece: usize) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
        let mut waveform = Waveform::new();
        bytes
            .chunks(piece)
            .for_each(|piece| waveform.add_bytes(piece));
        assert!(waveform.parts.len() < MAX_PARTS);
        waveform.levels()
    }

    #[test]
    fn it_rises_with_the_sound_however_long_that_is_and_however_it_comes() {
        for length in [64, 6_400, 6_400_000] {
            let rising = |at: i32| {
                i16::try_from(at * 64 / length * 500).unwrap() * if at % 2 == 0 { 1 } else { -1 }
            };
            let levels = of((0..length).map(rising), 4096).unwrap();
            assert_eq!(levels.len(), 64);
            assert!(levels.is_sorted(), "{length}: {levels:?}");
            assert_eq!(levels[63], 100);
        }
        let samples = || (0..10_007).map(|at: i32| i16::try_from(at).unwrap());
        assert_eq!(of(samples(), 3), of(samples(), 1 << 20));
        assert_eq!(
            of(std::iter::repeat_n(i16::MIN, 700), 2),
            Some(vec![100; 64])
        );
    }

    #[test]
    fn silence_is_flat_and_nothing_is_nothing() {
        assert_eq!(of(std::iter::repeat_n(0, 1000), 2), Some(vec![0; 64]));
        assert_eq!(of(std::iter::empty(), 2), None);
    }
}
