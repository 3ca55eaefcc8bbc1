//! `mfa-agent why`: which credentials each kind of SDK would pick up in this very shell, from where, until when, and
//! the one line that mends it. The orders of precedence are those that `tests/why.rs` sees the SDKs follow.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use protocol::role::shown;
use protocol::{Refusal, Section, Sections};

use super::env::LIVE;
use crate::agent::Agent;
use crate::args::Why;
use crate::environment::{CONTAINER_VARIABLES, Consumed, Environment};
use crate::failure::Failure;
use crate::shell::{Shell, word};
use crate::{clock, message, output, platform, span, table};

/// A family of SDKs that agree on where to look first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sdk {
    AwsCli2,
    Boto3,
    JavaScript,
    Rust,
    Go,
}

/// All of them, with the programs that they are in.
const SDKS: [(Sdk, &str); 5] = [
    (Sdk::AwsCli2, "AWS CLI 2"),
    (Sdk::Boto3, "AWS CLI 1, boto3"),
    (Sdk::JavaScript, "SDK for JavaScript"),
    (Sdk::Rust, "SDK for Rust"),
    (Sdk::Go, "SDK for Go"),
];

/// How a profile gets its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Role,
    WebIdentity,
    SignIn,
    Key,
    Process,
}

/// Where an SDK ends up.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// The variables of this shell.
    Variables,
    /// A profile of the files.
    Profile(String, Way),
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    WebIdentity,
    /// The endpoint that a variable names.
    Container(&'static str),
    /// It looks no further, and fails.
    Fails(&'static str),
    /// Nothing here: what the machine itself is given, where it is one of AWS's.
    Nothing,
    /// What the AWS files of this host say, which the agent of another one does not read.
    Unread,
}

/// Where each of them ends up.
type Sources = [(Sdk, &'static str, Source); SDKS.len()];

/// What aws-mfa appends to a profile's name for the section that we take its key from.
pub const LONG_TERM: &str = "-long-term";

/// All that decides.
struct Surroundings<'a> {
    environment: &'a Environment,
    consumed: &'a Consumed,
    /// None where the agent is another host's.
    sections: Option<&'a BTreeMap<String, Section>>,
    now: u64,
}

/// Something in the way, and what takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// What is in the way, and of whom.
    pub what: String,
    /// What takes it away.
    pub mend: Mend,
}

/// What takes something out of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// To remove these variables.
    Unset(&'static [&'static str]),
    /// To set `AWS_PROFILE` to `AWS_DEFAULT_PROFILE`.
    NameProfile,
    /// To let `env` set the profile's variables.
    Evaluate,
    /// To start the agent anew, with this shell's variables.
    Restart,
}

/// The profiles whose sections decide what SDKs pick up.
pub fn profiles(environment: &Environment, consumed: &Consumed) -> Vec<String> {
    let named = [&environment.aws_profile, &consumed.default_profile];
    let mut profiles: Vec<String> =
        named.into_iter().flatten().filter_map(|name| name.to_str()).map(str::to_owned).collect();
    profiles.push("default".to_owned());
    let long_term: Vec<String> = profiles.iter().map(|name| format!("{name}{LONG_TERM}")).collect();
    profiles.extend(long_term);
    profiles
}

/// The variables of this shell that win over what `env` sets, or mislead. What needs the AWS files is told where they
/// could be read.
pub fn variables_in_the_way(
    environment: &Environment,
    consumed: &Consumed,
    files: Option<&Sections>,
    wanted: Option<&str>,
    now: u64,
) -> Vec<Trap> {
    let none = BTreeMap::new();
    let sections = files.map_or(&none, |files| &files.sections);
    let surroundings = Surroundings { environment, consumed, sections: Some(sections), now };
    let mut traps = surroundings.variables();
    if let Some(files) = files {
        let missing = environment.aws_profile.as_ref().filter(|name| !surroundings.exists(name));
        traps.extend(missing.map(|name| Trap {
            what: format!("AWS_PROFILE is {}, and no file has such a profile", name.to_string_lossy()),
            mend: Mend::Unset(&["AWS_PROFILE"]),
        }));
        let sources = SDKS.map(|(sdk, name)| (sdk, name, surroundings.source(sdk)));
        traps.extend(surroundings.in_the_way(&sources, wanted, Some(files)));
    }
    traps
}

pub fn run(args: &Why, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let consumed = Consumed::read();
    let (files, host) = match Agent::locate(environment)?.try_sections(profiles(environment, &consumed))? {
        Ok(files) => (Some(files), None),
        Err(Refusal::NotGranted { host, .. }) => (None, Some(host)),
        Err(refusal) => return Err(message::refused(&refusal)),
    };
    let sections = files.as_ref().map(|files| &files.sections);
    let surroundings = Surroundings { environment, consumed: &consumed, sections, now: clock::now() };

    let sources = SDKS.map(|(sdk, name)| (sdk, name, surroundings.source(sdk)));
    let mut rows = vec![["READ BY", "CREDENTIALS", "UNTIL"].map(str::to_owned)];
    rows.extend(sources.iter().map(|(_, name, source)| {
        [(*name).to_owned(), surroundings.words(source), surroundings.until(source)]
    }));
    let mut text = table::of(&rows);
    let wanted = environment.profile(args.name.as_deref().or(option), args.source.as_deref())?;
    let mut traps = surroundings.traps(&sources, wanted.as_deref(), files.as_ref());
    let mends = !traps.is_empty();
    traps.extend(host.map(|host| format!("the agent is on {host}: the AWS files here are not looked at")));
    if !traps.is_empty() {
        text.push('\n');
    }
    for trap in &traps {
        text.push_str(&protocol::sanitize::sanitize(trap));
        text.push('\n');
    }
    output::data(text.as_bytes())?;
    if mends {
        let shell = Shell::of_program(platform::parent_program().as_deref()).unwrap_or(Shell::Posix);
        let profile = wanted.as_deref().map_or_else(|| "PROFILE".to_owned(), word);
        // A profile that only a variable names, and no file has, is none to go on with.
        let line = match &environment.aws_profile {
            Some(name) if wanted.as_deref().map(OsStr::new) == Some(name) && !surroundings.exists(name) => {
                Some("unset AWS_PROFILE".to_owned())
            }
            _ => shell.evaluation(&format!(" {profile}{}", if environment.live { " --live" } else { "" })),
        };
        if let Some(line) = line {
            output::words(&format!("hint: {line}"));
        }
    }
    Ok(())
}

impl Surroundings<'_> {
    /// The profile that an SDK takes, and whether a variable names it.
    fn profile(&self, sdk: Sdk) -> (String, bool) {
        let own = self.environment.aws_profile.as_ref();
        let default = self.consumed.default_profile.as_ref();
        let named = match sdk {
            Sdk::AwsCli2 | Sdk::Go => own.or(default),
            Sdk::Boto3 => default.or(own),
            // They know no AWS_DEFAULT_PROFILE.
            Sdk::JavaScript | Sdk::Rust => own,
        };
        match named {
            Some(name) => (name.to_string_lossy().into_owned(), true),
            None => ("default".to_owned(), false),
        }
    }

    fn source(&self, sdk: Sdk) -> Source {
        let (profile, named) = self.profile(sdk);
        let section = self.section(&profile);
        let is_boto = matches!(sdk, Sdk::AwsCli2 | Sdk::Boto3);
        let is_missing = named && section.is_none() && self.sections.is_some();
        if is_boto && is_missing {
            return Source::Fails("its profile is in no file");
        }
        let skips_variables = sdk == Sdk::JavaScript && named;
        match (self.environment.key_id.is_some(), self.consumed.secret) {
            (true, true) if !skips_variables => return Source::Variables,
            (true, false) if is_boto => return Source::Fails("AWS_SECRET_ACCESS_KEY is missing"),
            _ => {}
        }
        if self.sections.is_none() {
            return Source::Unread;
        }
        let token_file = self.consumed.web_identity.then_some(Source::WebIdentity);
        let of_profile = |ways: &[Way]| {
            let way = ways.iter().find(|way| section.is_some_and(|section| way.is_in(section)))?;
            Some(Source::Profile(profile.clone(), *way))
        };
        let found = match sdk {
            Sdk::AwsCli2 | Sdk::Boto3 => of_profile(&[Way::Role, Way::WebIdentity])
                .or(token_file)
                .or_else(|| of_profile(&[Way::SignIn, Way::Key, Way::Process])),
            Sdk::JavaScript => {
                of_profile(&[Way::Role, Way::Key, Way::WebIdentity, Way::Process, Way::SignIn]).or(token_file)
            }
            Sdk::Rust if is_missing => return Source::Fails("its profile is in no file"),
            Sdk::Rust => {
                of_profile(&[Way::Role, Way::WebIdentity, Way::SignIn, Way::Process, Way::Key]).or(token_file)
            }
            Sdk::Go => token_file
                .or_else(|| of_profile(&[Way::Role, Way::Key, Way::WebIdentity, Way::SignIn, Way::Process])),
        };
        let mut containers = self.consumed.containers.iter().copied();
        let container = if sdk == Sdk::Go { containers.next_back() } else { containers.next() };
        found.or(container.map(Source::Container)).unwrap_or(Source::Nothing)
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections?.get(name)
    }

    /// A file has the profile, or its long-term key; or nobody knows.
    fn exists(&self, profile: &OsStr) -> bool {
        let Some(sections) = self.sections else { return true };
        sections.keys().any(|name| OsStr::new(name.strip_suffix(LONG_TERM).unwrap_or(name)) == profile)
    }

    /// The profile whose session the variables hold, as far as they say so.
    fn session(&self) -> Option<&OsStr> {
        let key = self.environment.key_id.as_ref()?.as_encoded_bytes();
        let lease = self.environment.look.as_ref().or(self.environment.lease.as_ref())?.as_encoded_bytes();
        // A lease ends with the last characters of the key that it was given with.
        let tail = lease.rsplit(|byte| *byte == b'-').next()?;
        key.ends_with(tail).then_some(self.environment.own_profile.as_deref()?)
    }

    fn words(&self, source: &Source) -> String {
        let last_four =
            |key: &str| key.chars().skip(key.chars().count().saturating_sub(4)).collect::<String>();
        match source {
            Source::Variables => {
                let key = self.environment.key_id.as_deref().unwrap_or_default().to_string_lossy();
                let whose = match self.session() {
                    Some(profile) => format!("session of {}", shown(&profile.to_string_lossy())),
                    None if self.consumed.token.is_some() => "somebody's session".to_owned(),
                    None => "a key without a session".to_owned(),
                };
                format!("this shell's variables: {whose}, key …{}", last_four(&key))
            }
            Source::Profile(name, Way::Key) => {
                let section = self.section(name);
                let key = section.and_then(|section| section.key.as_deref()).unwrap_or_default();
                let session = section.is_some_and(|section| section.temporary);
                let kind = if session { "session" } else { "key without MFA" };
                format!("[{name}] of the files: {kind}, key …{key}")
            }
            Source::Profile(name, way) => format!("[{name}] of the files: {}", way.words()),
            Source::WebIdentity => "the token of AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
            Source::Container(variable) => match (self.environment.live, &self.environment.own_profile) {
                (true, Some(profile)) if *variable == LIVE[0] => {
                    format!("live access to {}", shown(&profile.to_string_lossy()))
                }
                _ => format!("the endpoint of {variable}"),
            },
            Source::Fails(why) => format!("none: {why}"),
            Source::Nothing => "none".to_owned(),
            Source::Unread => "none of this shell's; the AWS files here may have some".to_owned(),
        }
    }

    fn until(&self, source: &Source) -> String {
        match source {
            Source::Variables => match (self.left(), &self.consumed.token) {
                (Some(0), _) => "expired".to_owned(),
                (Some(left), _) => {
                    let left_words = span::of(u32::try_from(left).unwrap_or(u32::MAX));
                    format!("{} ({left_words} left)", clock::time_of_day(self.now + left))
                }
                (None, Some(_)) => "unknown".to_owned(),
                (None, None) => "no end".to_owned(),
            },
            Source::Profile(name, Way::Key) if !self.is_session(name) => "no end".to_owned(),
            Source::Profile(_, Way::Key) => "unknown".to_owned(),
            Source::Profile(..) | Source::WebIdentity | Source::Container(_) => "renewed".to_owned(),
            Source::Fails(_) | Source::Nothing | Source::Unread => "-".to_owned(),
        }
    }

    fn is_session(&self, profile: &str) -> bool {
        self.section(profile).is_some_and(|section| section.temporary)
    }

    /// Seconds left of what the variables hold, as far as they say so.
    fn left(&self) -> Option<u64> {
        self.session()?;
        Some(self.consumed.expires_at?.saturating_sub(self.now))
    }

    /// What is in the way, each with why.
    fn traps(&self, sources: &Sources, wanted: Option<&str>, files: Option<&Sections>) -> Vec<String> {
        let mut traps: Vec<String> = self.variables().into_iter().map(|trap| trap.what).collect();
        traps.extend(self.in_the_way(sources, wanted, files).into_iter().map(|trap| trap.what));
        for name in self.sections.into_iter().flat_map(BTreeMap::keys) {
            let key = Source::Profile(name.clone(), Way::Key);
            if sources.iter().any(|(_, _, source)| *source == key) && !self.is_session(name) {
                traps.push(format!("the key in [{name}] is used as it is: what needs MFA is refused"));
            }
        }
        let none = |source: &Source| matches!(source, Source::Fails(_) | Source::Nothing | Source::Unread);
        let without: Vec<&str> =
            sources.iter().filter(|(_, _, source)| none(source)).map(|(_, name, _)| *name).collect();
        if without.len() == sources.len() {
            traps.push("this shell has nothing for any of them".to_owned());
        } else if !without.is_empty() {
            traps.push(format!("this shell has nothing for: {}", without.join("; ")));
        }
        traps
    }

    /// What the variables by themselves say is in the way.
    fn variables(&self) -> Vec<Trap> {
        let mut traps = Vec::new();
        let mut tell = |what: &str, mend| traps.push(Trap { what: what.to_owned(), mend });
        let whole_key = self.environment.key_id.is_some() && self.consumed.secret;
        if self.consumed.security_token.is_some()
            && self.consumed.security_token != self.consumed.token
            && whole_key
        {
            tell(
                "AWS_SECURITY_TOKEN is set: the AWS CLI and boto3 send it in the place of AWS_SESSION_TOKEN",
                Mend::Unset(&["AWS_SECURITY_TOKEN"]),
            );
        }
        if self.environment.key_id.is_some() != self.consumed.secret {
            tell(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: one is set without the other",
                Mend::Unset(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]),
            );
        }
        match (&self.environment.aws_profile, &self.consumed.default_profile) {
            (Some(one), Some(other)) if one != other => tell(
                "AWS_PROFILE and AWS_DEFAULT_PROFILE differ: the AWS CLI 2 takes the first, boto3 the second",
                Mend::Unset(&["AWS_DEFAULT_PROFILE"]),
            ),
            (None, Some(_)) => tell(
                "AWS_DEFAULT_PROFILE is set without AWS_PROFILE: the SDKs for JavaScript and Rust do not know it",
                Mend::NameProfile,
            ),
            _ => {}
        }
        if self.environment.aws_profile.is_some() && whole_key {
            tell(
                "AWS_PROFILE is set: the SDK for JavaScript passes over this shell's variables",
                Mend::Unset(&["AWS_PROFILE"]),
            );
        }
        traps
    }

    /// What the variables say is in the way, as the SDKs go on from there.
    fn in_the_way(&self, sources: &Sources, wanted: Option<&str>, files: Option<&Sections>) -> Vec<Trap> {
        let mut traps = Vec::new();
        let mut tell = |what: String, mend| traps.push(Trap { what, mend });
        if let Some(variable) = self.consumed.containers.first()
            && !sources.iter().all(|(_, _, source)| matches!(source, Source::Container(_)))
        {
            let what = format!("{variable} is set: it is asked last, and only where there is nothing else");
            tell(what, Mend::Unset(&CONTAINER_VARIABLES));
        }
        if self.consumed.containers.len() > 1 {
            let what = "both variables of a container's endpoint are set: the SDK for Go takes \
                        AWS_CONTAINER_CREDENTIALS_FULL_URI, all others the other one";
            tell(what.to_owned(), Mend::Unset(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]));
        }
        if sources.iter().any(|(_, _, source)| *source == Source::Variables) {
            let session = self.session().and_then(OsStr::to_str);
            match (self.left(), session, wanted) {
                (Some(0), _, _) => {
                    tell("the session in this shell's variables has expired".to_owned(), Mend::Evaluate);
                }
                (_, Some(session), Some(wanted)) if session != wanted => {
                    let (session, wanted) = (shown(session), shown(wanted));
                    tell(format!("this shell has the session of {session}, not of {wanted}"), Mend::Evaluate);
                }
                (_, None, _) if self.consumed.token.is_none() => tell(
                    "the key in this shell's variables is used as it is: what needs MFA is refused"
                        .to_owned(),
                    Mend::Evaluate,
                ),
                _ => {}
            }
        }
        let Some(files) = files else { return traps };
        for (variable, shell, agent) in [
            ("AWS_CONFIG_FILE", &self.consumed.config_file, &files.config_file),
            ("AWS_SHARED_CREDENTIALS_FILE", &self.consumed.credentials_file, &files.credentials_file),
        ] {
            if shell.as_ref().is_some_and(|shell| shell != OsString::from(agent).as_os_str()) {
                let what = format!(
                    "{variable} is another than the agent reads, {agent}: this is told by the agent's"
                );
                tell(what, Mend::Restart);
            }
        }
        traps
    }
}

impl Way {
    fn is_in(self, section: &Section) -> bool {
        let has = |setting: &str| section.settings.iter().any(|name| name == setting);
        match self {
            Self::Role => has("role_arn") && (has("source_profile") || has("credential_source")),
            Self::WebIdentity => has("web_identity_token_file"),
            Self::SignIn => has("sso_session") || has("sso_start_url") || has("login_session"),
            Self::Key => section.key.is_some(),
            Self::Process => has("credential_process"),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Role => "a role that the SDK assumes itself",
            Self::WebIdentity => "the token of web_identity_token_file",
            Self::SignIn => "a sign-in with a browser",
            Self::Key => "a key",
            Self::Process => "its credential_process",
        }
    }
}
