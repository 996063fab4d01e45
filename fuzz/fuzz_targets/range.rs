//! Any bytes as the part of a file that is asked for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::range(bytes));
