//! Options of a simulator, and the addresses that phones use. Plain data.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use wacore_binary::Jid;

use crate::model::faults::Corruption;

/// The addresses that phones use for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// Phone numbers, `…@s.whatsapp.net`.
    #[default]
    PhoneNumber,
    /// LIDs, `…@lid`, as accounts that WhatsApp has moved to them.
    Lid,
}

impl Addressing {
    /// The addressing of an address on the wire.
    pub(crate) fn from_jid(jid: &Jid) -> Self {
        if jid.is_lid() {
            Self::Lid
        } else {
            Self::PhoneNumber
        }
    }

    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::PhoneNumber => Self::Lid,
            Self::Lid => Self::PhoneNumber,
        }
    }
}

/// The options of a simulator.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// Where to listen. Port 0 takes a free one; only loopback addresses are accepted.
    pub listen: SocketAddr,
    /// How long the references of one QR session are valid: 60 s for the first and 20 s for each of
    /// the other five.
    pub qr_lifetime: Duration,
    /// The addresses that phones use.
    pub addressing: Addressing,
    /// One signature, key or HMAC made wrong, to see whether a client checks it.
    pub corruption: Option<Corruption>,
    /// How many messages, receipts and failures each phone stores; older ones are dropped.
    pub kept: usize,
    /// Where to write the CA's PEM; a file in the system's temporary folder otherwise, removed at
    /// the end.
    pub ca_pem_file: Option<PathBuf>,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            qr_lifetime: Duration::from_secs(60 + 5 * 20),
            addressing: Addressing::default(),
            corruption: None,
            kept: 20_000,
            ca_pem_file: None,
        }
    }
}
