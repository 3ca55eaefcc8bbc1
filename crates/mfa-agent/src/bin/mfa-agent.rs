//! What people type.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

/// The C entry: Rust's own set-up before `main` costs a tenth of the whole run, and nothing here needs it. On glibc
/// `std::env::args_os` works without it, and SIGPIPE keeps its default, as a program in a pipe should.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C runtime looks for this name; nothing else in this program has it")]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    client::main().into()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() -> std::process::ExitCode {
    client::main().into()
}
