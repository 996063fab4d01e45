//! Any bytes as a PDF whose pages are counted.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::pdf(bytes));
