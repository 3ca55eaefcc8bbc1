//! AWS's files, for the commands that change them: where they are, and what goes wrong with them in words.

use std::path::{Path, PathBuf};

use aws_files::{Ambiguous, Document, Kind, NotSettable, StoreError};

use protocol::Secret;

use crate::environment;
use crate::failure::{Exit, Failure};
use crate::shell::word;

/// Where a file is for the agent too, if it was started with this environment.
pub fn path(kind: Kind) -> Result<PathBuf, Failure> {
    let (variable, name) = match kind {
        Kind::Config => ("AWS_CONFIG_FILE", "config"),
        Kind::Credentials => ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    };
    environment::aws_file(variable, name).ok_or_else(|| {
        Failure::new(Exit::Configuration, format!("HOME is not set, and so there is no ~/.aws/{name}"))
            .hint(format!("export {variable}=FILE"))
    })
}

/// Reads a file. One that is not there is an empty one.
pub fn read(file: &Path, kind: Kind) -> Result<Document, Failure> {
    Ok(aws_files::read(file, kind)?)
}

/// Changes a file, or leaves it as it is.
pub fn edit(
    file: &Path,
    kind: Kind,
    change: impl FnMut(&mut Document) -> Result<(), Failure>,
) -> Result<(), Failure> {
    aws_files::edit(file, kind, change).map(|_| ())
}

/// Whether a setting is there, which may be a secret.
pub fn is_set(document: &Document, file: &Path, profile: &str, key: &str) -> Result<bool, Failure> {
    document.get(profile, key).map(|value| value.is_some()).map_err(|error| ambiguous(file, &error))
}

/// Whether a setting has this very value.
pub fn is(
    document: &Document,
    file: &Path,
    profile: &str,
    key: &str,
    value: &Secret,
) -> Result<bool, Failure> {
    let held = document.get(profile, key).map_err(|error| ambiguous(file, &error))?;
    Ok(held == Some(value.expose()))
}

/// A setting's value, of one that is no secret: nobody wipes it.
pub fn get(document: &Document, file: &Path, profile: &str, key: &str) -> Result<Option<String>, Failure> {
    let value = document.get(profile, key).map_err(|error| ambiguous(file, &error))?;
    Ok(value.map(str::to_owned))
}

/// A setting's value that may be a secret.
pub fn secret(document: &Document, file: &Path, profile: &str, key: &str) -> Result<Option<Secret>, Failure> {
    let value = document.get(profile, key).map_err(|error| ambiguous(file, &error))?;
    Ok(value.map(|value| Secret::new(value.to_owned())))
}

/// Whether there is a section of this profile.
pub fn has(document: &Document, file: &Path, profile: &str) -> Result<bool, Failure> {
    document.has(profile).map_err(|error| ambiguous(file, &error))
}

/// Sets a setting.
pub fn set(
    document: &mut Document,
    file: &Path,
    profile: &str,
    key: &str,
    value: &str,
) -> Result<(), Failure> {
    document.set(profile, key, value).map_err(|error| match error {
        NotSettable::Ambiguous(error) => ambiguous(file, &error),
        _ => Failure::new(Exit::Configuration, error.to_string()).hint("choose another"),
    })
}

/// Takes a setting away.
pub fn remove(document: &mut Document, file: &Path, profile: &str, key: &str) -> Result<(), Failure> {
    document.remove(profile, key).map(|_| ()).map_err(|error| ambiguous(file, &error))
}

fn ambiguous(file: &Path, error: &Ambiguous) -> Failure {
    let what = format!(
        "{}:{}: some tools take [{}] for profile {}, and some do not",
        file.display(),
        error.line,
        error.header,
        error.profile
    );
    let file = word(&file.to_string_lossy());
    Failure::new(Exit::Configuration, what).hint(format!("vi +{} {file}", error.line))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = match &error {
            StoreError::Io { path, .. } => {
                (Exit::Failed, format!("see who may write it: ls -ld {}", word(&path.to_string_lossy())))
            }
            StoreError::Unfit { path, .. } => {
                (Exit::Configuration, format!("mend it by hand: vi {}", word(&path.to_string_lossy())))
            }
            StoreError::Busy { .. } => (Exit::Failed, "run the same again".to_owned()),
        };
        Self::new(exit, error.to_string()).hint(hint)
    }
}
