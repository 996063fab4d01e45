//! Any bytes as a part of what a phone tells of the time before.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::history(bytes));
