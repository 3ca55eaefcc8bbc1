//! AWS's two files, and what a profile of theirs comes down to.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| agent::fuzzing::aws_config(input));
