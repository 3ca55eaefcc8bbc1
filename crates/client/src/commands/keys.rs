//! `mfa-agent keys`: the long-term keys that profiles rest on.

mod import;
mod list;

use crate::args::{Keys, KeysImport};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::platform;
use crate::shell::word;

/// What aws-mfa appends to a profile's name for the section with its long-term key.
const LONG_TERM: &str = "-long-term";

pub fn run(verb: &Keys, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    match verb {
        Keys::Import(args) => import::run(args, option, environment, true),
        Keys::List { json } => list::run(*json, option, environment),
    }
}

/// `keys import` for a profile.
pub fn import(args: &KeysImport, profile: &str, environment: &Environment) -> Result<(), Failure> {
    import::run(args, Some(profile), environment, false)
}

/// The words for a file with keys that others can read.
fn exposure(file: &std::path::Path) -> Option<String> {
    let mode = platform::mode(file).filter(|mode| mode & 0o044 != 0)?;
    let name = file.display();
    Some(format!("others can read {name} (mode {mode:04o}): chmod 600 {}", word(&name.to_string())))
}
