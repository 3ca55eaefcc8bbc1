//! Black-box tests: the real client and the real agent, on the AWS simulator and on moto.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod aws_mfa;
mod boundaries;
mod concurrency;
mod confirm;
mod console;
mod consumers;
mod crowds;
mod doctor;
mod documents;
mod errors;
mod exec;
mod faults;
mod hardening;
mod hooks;
mod keys;
mod kills;
mod lifecycle;
mod live;
mod lock;
mod lock_on;
mod login;
mod mfa_process;
mod moto;
mod notifications;
mod profiles;
mod prompter;
mod restart;
mod roles;
mod secrets;
mod shell_cases;
mod shells;
mod support;
mod tls;
mod why;
