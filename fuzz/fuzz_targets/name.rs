//! Any bytes as a header that names a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::name(bytes));
