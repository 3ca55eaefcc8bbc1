//! The client as a program of its own, for this crate's tests: cargo builds it for them. It begins as the product
//! does, in `crates/mfa-agent/src/bin/mfa-agent.rs`: without what Rust does before `main`.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

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
