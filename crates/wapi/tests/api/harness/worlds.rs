//! The two worlds of WhatsApp: chats of two that go by phone number, and accounts that were moved to LIDs.
//!
//! A test that names neither runs in one of them, half of all tests in each; the environment turns them round.

use wapi_simulator::{Addressing, SimulatorOptions};

/// In which world tests run that do not say so: `number`, `lid`, or `turned` for the other than theirs.
const VARIABLE: &str = "WAPI_TESTS_WORLD";

/// A simulated WhatsApp in this test's world.
pub fn options() -> SimulatorOptions {
    SimulatorOptions {
        addressing: world(),
        ..SimulatorOptions::default()
    }
}

/// The world of this test, told by its name, so that a test that failed fails again when it is run alone.
fn world() -> Addressing {
    let [theirs, other] = match is_of_the_second_half() {
        false => [Addressing::PhoneNumber, Addressing::Lid],
        true => [Addressing::Lid, Addressing::PhoneNumber],
    };
    match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("") => theirs,
        Ok("turned") => other,
        Ok("number") => Addressing::PhoneNumber,
        Ok("lid") => Addressing::Lid,
        Ok(unknown) => panic!("{VARIABLE} is number, lid or turned, not {unknown:?}"),
    }
}

/// By the bytes of the name of the thread, which is the test's.
fn is_of_the_second_half() -> bool {
    let thread = std::thread::current();
    thread
        .name()
        .is_some_and(|name| name.bytes().fold(0, u8::wrapping_add) % 2 == 1)
}
