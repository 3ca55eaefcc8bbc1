//! `mfa-agent keys`: the long-term keys that profiles rest on.

mod change;
mod import;
mod list;
mod rotate;
mod stored;

use std::path::Path;

use aws_files::Document;
use protocol::{IamAnswer, IamCall, LastUse, Refusal, Signed, UserKey};

use crate::access_key::KEYRING_KEY;
use crate::agent::unexpected;
use crate::args::{Keys, KeysImport};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::iam::Iam;
use crate::shell::word;
use crate::{aws_file, message, platform};
use change::Change;

/// What aws-mfa appends to a profile's name for the section with its long-term key.
const LONG_TERM: &str = "-long-term";

pub fn run(verb: &Keys, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    match verb {
        Keys::Delete(args) => change::run(Change::Delete, args, option, environment),
        Keys::Disable(args) => change::run(Change::Disable, args, option, environment),
        Keys::Enable(args) => change::run(Change::Enable, args, option, environment),
        Keys::Import(args) => import::run(args, option, environment, true),
        Keys::Rotate(args) => rotate::run(args, option, environment),
        Keys::List { json, used } => list::run(*json, *used, option, environment),
    }
}

/// `keys import` for a profile.
pub fn import(args: &KeysImport, profile: &str, environment: &Environment) -> Result<(), Failure> {
    import::run(args, Some(profile), environment, false)
}

/// The words for a file with keys that others can read.
fn exposure(file: &Path) -> Option<String> {
    let mode = platform::mode(file).filter(|mode| mode & 0o044 != 0)?;
    let name = file.display();
    Some(format!("others can read {name} (mode {mode:04o}): chmod 600 {}", word(&name.to_string())))
}

/// The section with a profile's long-term key: aws-mfa's, where it is there.
fn section(document: &Document, file: &Path, profile: &str) -> Result<String, Failure> {
    let long_term = format!("{profile}{LONG_TERM}");
    for setting in ["aws_access_key_id", KEYRING_KEY] {
        if aws_file::is_set(document, file, &long_term, setting)? {
            return Ok(long_term);
        }
    }
    Ok(profile.to_owned())
}

/// The keys of the user, by AWS's word.
fn list_of(iam: &mut Iam<'_>) -> Result<Vec<UserKey>, Failure> {
    match iam.call(&Signed::Session, &IamCall::ListAccessKeys { user: None })? {
        IamAnswer::AccessKeys(keys) => Ok(keys),
        _ => Err(unexpected()),
    }
}

/// When a key was used last; none for never.
fn last_use(iam: &mut Iam<'_>, signed: &Signed, id: &str) -> Result<Option<LastUse>, Failure> {
    match iam.call(signed, &IamCall::GetAccessKeyLastUsed { id: id.to_owned() })? {
        IamAnswer::LastUse(used) => Ok(used),
        _ => Err(unexpected()),
    }
}

fn set_active(iam: &mut Iam<'_>, id: &str, active: bool) -> Result<(), Failure> {
    iam.call(&Signed::Session, &IamCall::UpdateAccessKey { id: id.to_owned(), active }).map(drop)
}

/// Deletes a key. One that is gone already is as good.
fn delete(iam: &mut Iam<'_>, id: &str) -> Result<(), Failure> {
    match iam.try_call(&Signed::Session, &IamCall::DeleteAccessKey { id: id.to_owned() })? {
        Ok(_) => Ok(()),
        Err(Refusal::Aws { code, .. }) if code == "NoSuchEntity" => Ok(()),
        Err(refusal) => Err(message::refused(&refusal)),
    }
}
