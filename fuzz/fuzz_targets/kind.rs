//! Any bytes as a file whose type is wanted.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::kind(bytes));
