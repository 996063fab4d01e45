//! A simulated WhatsApp, true to the wire: linked devices connect to it as to the real one, and
//! tests act as phones.
//!
//! ```no_run
//! # async fn example(qr_shown_by_a_client: &str) -> anyhow::Result<()> {
//! let simulator = wapi_simulator::Simulator::start(wapi_simulator::SimulatorOptions::default()).await?;
//! let alice = simulator.add_phone("Alice")?;
//! let bob = simulator.add_phone("Bob")?;
//! alice.scans_qr(qr_shown_by_a_client).await?;
//! bob.sends_text(alice.number(), "hi").await?;
//! simulator.finish().await
//! # }
//! ```
//!
//! In reading order: [`Simulator`] and [`Phone`] are the interface for tests; `world` is the state
//! of the server; `server` and `connection` are the sockets; `stanza` has one file per family of
//! requests; `handset` and `signal` are the phones.

mod admin;
mod adv;
mod amendments;
mod appstate;
mod ballot;
mod burst;
mod connection;
mod counters;
mod device;
mod faults;
mod files;
mod group;
mod groups;
mod handset;
mod history;
mod kept;
mod labels;
mod linkcode;
mod linking;
mod media;
mod media_host;
mod message;
mod migration;
mod newsletter;
mod newsletters;
mod noise;
mod phone;
mod preferences;
mod privacy;
mod profile;
mod queue;
mod recollection;
mod sender_keys;
mod server;
mod settings;
mod shop;
mod signal;
mod signals;
mod simulator;
mod stanza;
mod statuses;
mod tls;
mod trust;
mod world;

pub use amendments::Author;
pub use faults::{AckFault, Corruption, DeliveryFault, FallbackPolicy, Faults};
pub use files::{FileKind, MediaFile};
pub use group::GroupRole;
pub use groups::{GroupMember, PhoneGroup};
pub use handset::PhoneReceipt;
pub use history::HistoryMessage;
pub use linking::LinkedDevice;
pub use message::{PhoneMedia, PhoneMessage};
pub use newsletter::NewsletterRole;
pub use newsletters::{PhoneNewsletter, PhonePost};
pub use phone::{PeerRequests, Phone, ReceiptPolicy};
pub use preferences::{BusinessHours, BusinessProfile, StatusAudience};
pub use profile::ProfilePicture;
pub use settings::{ChatSettings, KeyShare};
pub use shop::{CatalogProduct, PlacedOrder};
pub use signals::{PhoneActivity, TypingState};
pub use simulator::{Addressing, Simulator, SimulatorOptions};
pub use trust::{AccountRestriction, Audience};
/// For tests that send messages that only WhatsApp's protobuf can express.
pub use waproto;
pub use world::{PairingError, UnknownRequest};
