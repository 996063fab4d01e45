//! Any text as the vCards of an address book.
#![no_main]

use wapi::model::message::vcard::{VCard, split_cards};

libfuzzer_sys::fuzz_target!(|text: &str| {
    VCard::parse(text);
    for card in split_cards(text) {
        assert_eq!(split_cards(&card), [card.as_str()], "a card is one");
        VCard::parse(&card);
    }
});
