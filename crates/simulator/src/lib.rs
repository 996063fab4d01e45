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
//! In storeys, each of which knows those before it: `model` is plain data, `wire` the stanzas' parts,
//! `crypto` the cryptography of both sides; `server` is WhatsApp, with one file per family of stanzas;
//! `phone` are the phones, whose methods are the words of tests; `admin` is HTTP over the phones.

mod admin;
mod crypto;
mod model;
mod phone;
mod server;
mod simulator;
mod wire;

pub use crypto::webauthn::{AssertionPlace, Passkey};
pub use model::behaviour::{CallLink, PeerRequests, PhoneActivity, ReceiptPolicy, TypingState};
pub use model::faults::{AckFault, Corruption, DeliveryFault, FallbackPolicy, GroupRefusal};
pub use model::group::GroupRole;
pub use model::history::{Author, HistoryMessage, HistoryStatus};
pub use model::ids::PairingError;
pub use model::message::{PhoneMedia, PhoneMessage};
pub use model::newsletter::NewsletterRole;
pub use model::options::{Addressing, SimulatorOptions};
pub use phone::Phone;
pub use phone::account::catalog::PlacedOrder;
pub use phone::chat_settings::{ChatSettings, KeyShare};
pub use phone::faults::Faults;
pub use phone::groups::{GroupMember, PhoneGroup};
pub use phone::labels::PhoneLabel;
pub use phone::linked_devices::LinkedDevice;
pub use phone::messages::files::{FileKind, MediaFile};
pub use phone::messages::interactive::ChosenRow;
pub use phone::messages::kinds::{GroupInvitation, LiveLocation, PlannedEvent};
pub use phone::messages::sealed_answers::{EventAnswer, OpenedAnswer};
pub use phone::messages::shop::{SentOrder, ShownProduct};
pub use phone::messages::texts::{QuotedMessage, RichText};
pub use phone::newsletters::{PhoneNewsletter, PhonePost};
pub use server::account::catalog::CatalogProduct;
pub use server::account::new_chat_cap::NewChatCap;
pub use server::account::preferences::{BusinessHours, BusinessProfile, StatusAudience};
pub use server::account::profile::ProfilePicture;
pub use server::account::trust::{AccountRestriction, Audience};
pub use server::phone_state::PhoneReceipt;
pub use server::world::UnknownRequest;
pub use simulator::Simulator;
