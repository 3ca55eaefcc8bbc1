//! `mfa-agent keys list`: the profiles that rest on a long-term key. What they rest on the agent says; in which of the
//! two files it stands, the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_files::{Document, Kind};
use protocol::{Profile, Refusal, Reply, Request, Section, frame};
use serde::Serialize;

use super::{LONG_TERM, exposure};
use crate::access_key::KEYRING_KEY;
use crate::agent::{Agent, unexpected};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::{aws_file, message, output, platform, table};

/// How many sections are asked for at a time, so that the answer fits a line.
const BATCH: usize = 64;

/// A profile and its key.
#[derive(Serialize)]
struct Listed {
    profile: String,
    /// The last four characters of the key's id.
    key: String,
    /// The section that holds it: the profile's own, aws-mfa's, or that of the profile that a role is assumed from.
    section: String,
    file: PathBuf,
    /// The file only names the key, which is in the keyring.
    keyring: bool,
    /// The file's permissions, octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

pub fn run(json: bool, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let agent = Agent::locate(environment)?;
    let profiles = agent.profiles()?;
    let wanted: Vec<(&Profile, String)> = profiles
        .iter()
        .filter(|profile| option.is_none_or(|name| profile.name == name))
        .filter(|profile| !matches!(profile.problem, Some(Refusal::TemporaryKey { .. })))
        .filter_map(|profile| Some((profile, source(&profiles, profile)?.to_owned())))
        .collect();
    let mut names: Vec<String> =
        wanted.iter().flat_map(|(_, name)| [name.clone(), format!("{name}{LONG_TERM}")]).collect();
    names.sort_unstable();
    names.dedup();
    let mut files = None;
    let mut sections = BTreeMap::new();
    for batch in names.chunks(BATCH) {
        match agent.ask(Request::Sections { profiles: batch.to_vec() }, None)?.reply {
            Reply::Sections(more) => {
                sections.extend(more.sections);
                files = Some([more.credentials_file, more.config_file].map(PathBuf::from));
            }
            Reply::Refused(refusal) => return Err(message::refused(&refusal)),
            _ => return Err(unexpected()),
        }
    }

    let mut listed = Vec::new();
    if let Some([credentials, config]) = files {
        let document = aws_file::read(&credentials, Kind::Credentials)?;
        for (profile, name) in wanted {
            let Some(Found { section, key, keyring }) = key(&sections, name) else { continue };
            let setting = if keyring { KEYRING_KEY } else { "aws_access_key_id" };
            let file = if is_in(&document, &credentials, &section, setting) { &credentials } else { &config };
            listed.push(Listed {
                profile: profile.name.clone(),
                key,
                section,
                file: file.clone(),
                keyring,
                mode: platform::mode(file).map(|mode| format!("{mode:04o}")),
            });
        }
    }
    if json {
        let json = frame::pretty(&listed)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot write the keys as JSON: {error}")))?;
        return output::data(&json);
    }
    if listed.is_empty() {
        output::words("no profile rests on a long-term key; put one there: mfa-agent keys import");
        return Ok(());
    }
    let mut rows = vec![["PROFILE", "KEY", "SECTION", "WHERE"].map(str::to_owned)];
    rows.extend(listed.iter().map(|listed| {
        let Listed { profile, key, section, file, keyring, .. } = listed;
        let place = if *keyring { "the keyring".to_owned() } else { file.display().to_string() };
        [profile.clone(), format!("…{key}"), section.clone(), place]
    }));
    output::data(table::of(&rows).as_bytes())?;
    let plaintext = listed.iter().filter(|listed| !listed.keyring);
    let mut files: Vec<&PathBuf> = plaintext.map(|listed| &listed.file).collect();
    files.sort_unstable();
    files.dedup();
    for words in files.into_iter().filter_map(|file| exposure(file)) {
        output::words(&words);
    }
    Ok(())
}

/// The profile whose key a profile uses: at the end of the chain of roles.
fn source<'a>(profiles: &'a [Profile], profile: &'a Profile) -> Option<&'a str> {
    let mut profile = profile;
    // No chain is longer than this, unless it goes in a circle.
    for _ in profiles {
        match &profile.source_profile {
            Some(source) if profile.role_arn.is_some() && *source != profile.name => {
                profile = profiles.iter().find(|other| other.name == *source)?;
            }
            _ => return Some(&profile.name),
        }
    }
    None
}

/// A long-term key.
struct Found {
    section: String,
    /// The end of its id.
    key: String,
    keyring: bool,
}

/// A profile's long-term key: one in the clear wins over the keyring's.
fn key(sections: &BTreeMap<String, Section>, profile: String) -> Option<Found> {
    let long_term = format!("{profile}{LONG_TERM}");
    let name = if sections.contains_key(&long_term) { long_term } else { profile };
    let section = sections.get(&name).filter(|section| !section.temporary)?;
    let keyring = section.key.is_none();
    Some(Found { section: name, key: section.key.clone().or(section.keyring_key.clone())?, keyring })
}

/// The credentials file's settings win over the config file's. Where tools do not agree on the section, it is there for
/// some of them.
fn is_in(document: &Document, file: &Path, section: &str, setting: &str) -> bool {
    aws_file::is_set(document, file, section, setting).unwrap_or(true)
}
