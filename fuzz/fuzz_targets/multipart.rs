//! Any bytes as a form that is uploaded.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::form(bytes));
