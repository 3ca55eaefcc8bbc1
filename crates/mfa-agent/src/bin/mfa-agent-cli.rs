//! All that `mfa-agent` can do.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

#[path = "../entry.rs"]
mod entry;

entry::enter!(client::main);
