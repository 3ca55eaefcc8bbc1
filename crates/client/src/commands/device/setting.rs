//! The device's place in AWS's files: `mfa_serial` of the profile, or aws-mfa's `aws_mfa_device` beside its key.

use std::path::PathBuf;

use aws_files::Kind;

use super::User;
use crate::failure::Failure;
use crate::{aws_file, output};

/// What aws-mfa appends to a profile's name for the section with its long-term key.
const LONG_TERM: &str = "-long-term";

struct Place {
    file: PathBuf,
    kind: Kind,
    section: String,
    key: &'static str,
}

impl Place {
    /// Where a profile's device is looked for first.
    fn of(profile: &str) -> Result<Self, Failure> {
        let file = aws_file::path(Kind::Credentials)?;
        let section = format!("{profile}{LONG_TERM}");
        let document = aws_file::read(&file, Kind::Credentials)?;
        if aws_file::is_set(&document, &file, &section, "aws_access_key_id")? {
            return Ok(Self { file, kind: Kind::Credentials, section, key: "aws_mfa_device" });
        }
        let file = aws_file::path(Kind::Config)?;
        Ok(Self { file, kind: Kind::Config, section: profile.to_owned(), key: "mfa_serial" })
    }
}

/// Names a device in the profile, unless another one of the user's is named there.
pub fn write(profile: &str, user: &User, serial: &str) -> Result<(), Failure> {
    let Place { file, kind, section, key } = Place::of(profile)?;
    let mut said = String::new();
    aws_file::edit(&file, kind, |document| {
        let held = aws_file::get(document, &file, &section, key)?;
        let place = format!("{key} of {section} in {}", file.display());
        said = match held {
            Some(held) if held == serial => format!("{place} names it already"),
            Some(held) if user.is_enabled(&held) => format!("{place} stays {held}"),
            _ => {
                aws_file::set(document, &file, &section, key, serial)?;
                format!("{place} names it now")
            }
        };
        Ok(())
    })?;
    output::words(&said);
    Ok(())
}

/// The setting by which a profile says that its device's seed is in the keyring. The agent reads it.
const KEYRING_SEED: &str = "mfa_agent_keyring_seed";

/// Lets a profile say that its device's seed is in the keyring, or no longer. Returns where.
pub fn set_seed(profile: &str, there: bool) -> Result<String, Failure> {
    let Place { file, kind, section, .. } = Place::of(profile)?;
    aws_file::edit(&file, kind, |document| {
        if there {
            aws_file::set(document, &file, &section, KEYRING_SEED, "true")
        } else {
            aws_file::remove(document, &file, &section, KEYRING_SEED)
        }
    })?;
    Ok(format!("[{section}] of {}", file.display()))
}

/// Takes a device's name out of the profile, if it stands there.
pub fn forget(profile: &str, serial: &str) -> Result<(), Failure> {
    let Place { file, kind, section, key } = Place::of(profile)?;
    let document = aws_file::read(&file, kind)?;
    if aws_file::get(&document, &file, &section, key)?.as_deref() != Some(serial) {
        return Ok(());
    }
    aws_file::edit(&file, kind, |document| aws_file::remove(document, &file, &section, key))?;
    output::words(&format!("{key} of {section} in {} is taken out", file.display()));
    Ok(())
}
