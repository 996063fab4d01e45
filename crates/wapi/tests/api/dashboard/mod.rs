//! The dashboard, as a browser without scripts sees it.

mod browser;
mod chats;
mod forms;
mod lists;
mod logins;
mod messages;
mod operations;
mod operator;
mod pages;
mod people;
mod rights;
mod safety;
mod sandbox;
mod sizes;
mod streams;
mod trials;

use crate::harness::Setup;

const KEY: &str = "wapi_first_of_the_test";

const VCARD: &str =
    "BEGIN:VCARD\nVERSION:3.0\nFN:Ann\nTEL;waid=375447034810:+375 44 703-48-10\nEND:VCARD";

/// A gateway that requires a key.
fn locked() -> Setup {
    Setup::new().set("WAPI_API_KEY", KEY)
}
