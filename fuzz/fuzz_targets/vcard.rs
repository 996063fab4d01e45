//! Any text as the vCards of an address book.
#![no_main]

use wapi::message::vcard::{Card, split};

libfuzzer_sys::fuzz_target!(|text: &str| {
    Card::read(text);
    for card in split(text) {
        assert_eq!(split(&card), [card.as_str()], "a card is one");
        Card::read(&card);
    }
});
