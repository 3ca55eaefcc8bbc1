//! The client as a process, against an agent that says what a test wants it to say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connection;
mod env;
mod prompt;
mod start;
mod stub;
mod tty;
mod verbs;
