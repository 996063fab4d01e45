//! The number of a QR code among those of its connection.

/// The number of a code, and of all codes that WhatsApp shows before it has to be asked anew: `3`
/// of `6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QrNumber {
    pub number: u32,
    pub total: u32,
}

impl QrNumber {
    /// How many codes follow.
    pub const fn remaining(self) -> u32 {
        self.total.saturating_sub(self.number)
    }
}
