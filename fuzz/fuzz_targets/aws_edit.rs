//! Changes of AWS's files.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| aws_files::fuzzing::aws_edit(input));
