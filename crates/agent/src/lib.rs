//! The agent: one process per user that holds AWS sessions in memory and gives them to that user's programs.
//! It never prints, never reads a terminal, and writes no credentials to disk.

mod bounded;
#[cfg(not(target_os = "macos"))]
mod bus;
mod ca_bundle;
mod child;
mod clock;
mod codes;
mod configuration;
mod endpoint;
mod environment;
mod explain;
mod failed_call;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod granted;
mod handover;
mod iam;
mod journal;
mod keyring;
mod lease;
mod live;
#[cfg_attr(not(target_os = "linux"), path = "no_logind.rs")]
mod logind;
mod notify;
mod platform;
mod profile;
mod prompter;
mod questions;
mod redirect;
mod requests;
mod sealed;
mod server;
mod service_manager;
mod sessions;
mod sign_in;
mod skew;
mod start;
mod sts;
mod totp;
mod traffic;
mod turnstile;
mod vault;

pub use start::main;
