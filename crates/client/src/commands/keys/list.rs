//! `mfa-agent keys list`: the profiles that rest on a long-term key. What they rest on the agent says; in which of the
//! two files it stands, the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_files::{Document, Kind};
use protocol::{IamAnswer, IamCall, Profile, Refusal, Reply, Request, Section, Signed, frame};
use serde::Serialize;

use super::{LONG_TERM, exposure};
use crate::access_key::KEYRING_KEY;
use crate::agent::{Agent, unexpected};
use crate::args::Code;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::mfa::Asker;
use crate::shell::word;
use crate::{aws_file, clock, message, output, platform, table};

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
    /// What AWS says of it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
}

/// What AWS says of a key.
#[derive(Clone, Serialize)]
struct Known {
    /// When it was made, in seconds since the epoch.
    created_at: u64,
    active: bool,
    /// When it was used last, in seconds since the epoch; none for never.
    last_used_at: Option<u64>,
    last_used_for: Option<String>,
}

pub fn run(json: bool, used: bool, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
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
                known: None,
            });
        }
    }
    if used {
        learn(&agent, &mut listed)?;
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
    let row = |listed: &Listed| {
        let Listed { profile, key, section, file, keyring, .. } = listed;
        let place = if *keyring { "the keyring".to_owned() } else { file.display().to_string() };
        [profile.clone(), format!("…{key}"), section.clone(), place]
    };
    let headings = ["PROFILE", "KEY", "SECTION", "WHERE"].map(str::to_owned);
    let text = if used {
        let now = clock::now();
        let with = |[profile, key, section, place]: [String; 4], [age, used]: [String; 2]| {
            [profile, key, age, used, section, place]
        };
        let mut rows = vec![with(headings, ["AGE", "LAST USED"].map(str::to_owned))];
        rows.extend(listed.iter().map(|listed| with(row(listed), in_words(listed.known.as_ref(), now))));
        table::of(&rows)
    } else {
        let mut rows = vec![headings];
        rows.extend(listed.iter().map(row));
        table::of(&rows)
    };
    output::data(text.as_bytes())?;
    let unknown = listed.iter().find(|listed| used && listed.known.is_none());
    if let Some(Listed { profile, .. }) = unknown {
        output::words(&format!("AWS tells the rest to a session: mfa-agent login {}", word(profile)));
    }
    let plaintext = listed.iter().filter(|listed| !listed.keyring);
    let mut files: Vec<&PathBuf> = plaintext.map(|listed| &listed.file).collect();
    files.sort_unstable();
    files.dedup();
    for words in files.into_iter().filter_map(|file| exposure(file)) {
        output::words(&words);
    }
    Ok(())
}

/// Asks AWS about each key once: by the session that is held, else by the key alone, which most policies forbid.
fn learn(agent: &Agent, listed: &mut [Listed]) -> Result<(), Failure> {
    let mut known: BTreeMap<(String, String), Option<Known>> = BTreeMap::new();
    for listed in listed {
        let name = (listed.section.clone(), listed.key.clone());
        if !known.contains_key(&name) {
            let asker = Asker::new(agent, &Code::default(), true)?;
            let mut iam = Iam::new(agent, Some(&listed.profile), asker);
            let found = [Signed::Session, Signed::LongTerm]
                .iter()
                .find_map(|signed| known_of(&mut iam, signed, &listed.key).transpose())
                .transpose()?;
            known.insert(name.clone(), found);
        }
        listed.known = known.get(&name).cloned().flatten();
    }
    Ok(())
}

/// What AWS says of the key with this end; none where it says nothing.
fn known_of(iam: &mut Iam<'_>, signed: &Signed, end: &str) -> Result<Option<Known>, Failure> {
    let keys = match iam.try_call(signed, &IamCall::ListAccessKeys { user: None }) {
        Ok(Ok(IamAnswer::AccessKeys(keys))) => keys,
        // No session is held, or the policy wants one.
        Ok(_) => return Ok(None),
        Err(failure) if failure.exit == Exit::NeedsCode => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Some(key) = keys.into_iter().find(|key| key.id.ends_with(end)) else { return Ok(None) };
    let call = IamCall::GetAccessKeyLastUsed { id: key.id };
    let Ok(IamAnswer::LastUse(used)) = iam.try_call(signed, &call)? else { return Ok(None) };
    let (last_used_at, last_used_for) = used.map(|used| (used.at, used.service)).unzip();
    Ok(Some(Known { created_at: key.created_at, active: key.active, last_used_at, last_used_for }))
}

/// A key's age, and when it was used last.
fn in_words(known: Option<&Known>, now: u64) -> [String; 2] {
    let Some(Known { created_at, active, last_used_at, last_used_for }) = known else {
        return ["?", "?"].map(str::to_owned);
    };
    let days = now.saturating_sub(*created_at) / 86_400;
    let inactive = if *active { "" } else { ", inactive" };
    let used = match (last_used_at, last_used_for) {
        (Some(at), Some(service)) => format!("{} ({service})", clock::date(*at)),
        _ => "never".to_owned(),
    };
    [format!("{days}d{inactive}"), used]
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
