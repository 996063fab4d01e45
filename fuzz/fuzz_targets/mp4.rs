//! Any bytes as a film, or a picture that is built like one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::mp4(bytes));
