//! Any bytes as the protobuf of a message that came in.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wapi::fuzzing::incoming(bytes));
