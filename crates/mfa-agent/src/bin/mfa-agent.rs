//! What people type, and what prompts and tools run: small, and becomes `mfa-agent-cli` for all that takes more.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

#[path = "../entry.rs"]
mod entry;

entry::enter!(client::front);
