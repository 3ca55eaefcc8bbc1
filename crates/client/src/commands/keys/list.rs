//! `mfa-agent keys list`: the profiles that rest on a long-term key. What they rest on the agent says; in which of the
//! two files the key is, the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_files::{Document, Kind};
use protocol::{Profile, Refusal, Reply, Request, Section, frame};
use serde::Serialize;

use super::{LONG_TERM, exposure};
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
            let Some((section, key)) = key(&sections, name) else { continue };
            let file = if is_in(&document, &credentials, &section) { &credentials } else { &config };
            listed.push(Listed {
                profile: profile.name.clone(),
                key,
                section,
                file: file.clone(),
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
    let mut rows = vec![["PROFILE", "KEY", "SECTION", "FILE"].map(str::to_owned)];
    rows.extend(listed.iter().map(|listed| {
        let Listed { profile, key, section, file, .. } = listed;
        [profile.clone(), format!("…{key}"), section.clone(), file.display().to_string()]
    }));
    output::data(table::of(&rows).as_bytes())?;
    let mut files: Vec<&PathBuf> = listed.iter().map(|listed| &listed.file).collect();
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

/// The section that holds a profile's long-term key, and the end of the key's id.
fn key(sections: &BTreeMap<String, Section>, profile: String) -> Option<(String, String)> {
    let long_term = format!("{profile}{LONG_TERM}");
    let name = if sections.contains_key(&long_term) { long_term } else { profile };
    let section = sections.get(&name).filter(|section| !section.temporary)?;
    Some((name, section.key.clone()?))
}

/// The credentials file's keys win over the config file's. Where tools do not agree on the section, it is there for
/// some of them.
fn is_in(document: &Document, file: &Path, section: &str) -> bool {
    aws_file::is_set(document, file, section, "aws_access_key_id").unwrap_or(true)
}
