//! Lines of the protocol, both ways.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| protocol::fuzzing::frames(input));
