//! What STS and IAM answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| agent::fuzzing::aws_answer(input));
