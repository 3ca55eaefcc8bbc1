//! What shells are told to evaluate.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| client::fuzzing::shell_code(input));
