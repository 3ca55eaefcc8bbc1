//! `mfa-agent env`: shell code that sets a profile's credentials, or removes them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use protocol::{Ask, Credentials, Live, Reply, Request};

use crate::agent::{Agent, unexpected};
use crate::args::Env;
use crate::clock;
use crate::environment::{Environment, is_set_to};
use crate::failure::{Exit, Failure};
use crate::mfa::Asker;
use crate::output::{self, WipedBytes};
use crate::platform;
use crate::shell::{self, Shell, word};

/// What would win over the credentials, or mislead.
const IN_THE_WAY: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN"];
/// The same, of an earlier live access.
const IN_THE_WAY_OF_KEYS: [&str; 3] =
    ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "MFA_AGENT_LIVE"];
/// What would win over live access: keys that are there, and what else may say where a container's come from.
const IN_THE_WAY_OF_LIVE: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
/// Live access itself.
pub const LIVE: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];
/// The credentials themselves.
pub const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_SESSION_EXPIRATION",
];
/// What tells a shell whose credentials it has, and as long as what.
const OURS: [&str; 4] = ["MFA_AGENT_PROFILE", "MFA_AGENT_LEASE", "MFA_AGENT_EXP", "MFA_AGENT_LIVE"];
/// What tells a shell that cannot see its lease when to ask the agent instead.
pub const LOOK: &str = "MFA_AGENT_LOOK";
/// A file that is always there. As a shell's lease it leaves all to the clock.
pub const ALWAYS_THERE: &str = "/";
/// How often such a shell asks, in seconds.
const LOOK_SECONDS: u64 = 60;
/// What is set where the profile has a region.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// How often credentials may turn out to need another code, as when a session ends at that very moment.
const ROUNDS: usize = 3;

pub fn run(args: &Env, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let shell = match args.shell {
        Some(shell) => shell,
        None => Shell::of_program(platform::parent_program().as_deref())?,
    };
    let script = if args.unset {
        if shell == Shell::Dotenv {
            return Err(Failure::new(Exit::Usage, "a .env file sets variables, and removes none")
                .hint("--unset for the shell that has them"));
        }
        unset(shell, environment)
    } else {
        let profile = environment.profile(args.name.as_deref().or(option), args.source.as_deref())?;
        let agent = Agent::locate(environment)?;
        let asker = Asker::new(&agent, &args.code, args.no_prompt)?;
        let access = if args.live { Access::Live { own: false } } else { Access::Keys };
        let given = obtain_access(asker, profile.as_deref(), environment, access, None)?;
        script(shell, &given, &agent, environment)?
    };
    print(shell, &script, args, option)
}

/// Prints the script, and to whom looks at it what it is for.
pub fn print(shell: Shell, script: &WipedBytes, args: &Env, option: Option<&str>) -> Result<(), Failure> {
    output::data(script.bytes())?;
    if platform::stdout_is_terminal() {
        let mut arguments =
            args.name.as_deref().or(option).map(|name| format!(" {}", word(name))).unwrap_or_default();
        if let Some(source) = &args.source {
            arguments.extend([" --source ", &word(source)]);
        }
        for (flag, is_set) in [(" --live", args.live), (" --unset", args.unset)] {
            if is_set {
                arguments.push_str(flag);
            }
        }
        if let Some(line) = shell.evaluation(&arguments) {
            output::words(&format!("hint: this sets nothing yet; run {line}"));
        }
    }
    Ok(())
}

/// What somebody wants of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its credentials, as they are now.
    Keys,
    /// Live access, shared by the profile's shells or for this process alone.
    Live { own: bool },
}

impl Access {
    /// What this shell has, and goes on having.
    pub fn of(environment: &Environment) -> Self {
        if environment.live { Self::Live { own: false } } else { Self::Keys }
    }
}

/// What a shell or a command is given.
pub enum Given {
    /// Credentials.
    Keys(Credentials),
    /// Live access to them.
    Live(Live),
}

/// The credentials of a profile, with a code where one is needed.
pub fn obtain(
    asker: Asker<'_>,
    profile: Option<&str>,
    environment: &Environment,
) -> Result<Credentials, Failure> {
    match obtain_access(asker, profile, environment, Access::Keys, None)? {
        Given::Keys(credentials) => Ok(credentials),
        Given::Live(_) => Err(unexpected()),
    }
}

/// What somebody wants of a profile, with a code where one is needed; renewed first where it would end within so
/// many seconds.
pub fn obtain_access(
    mut asker: Asker<'_>,
    profile: Option<&str>,
    environment: &Environment,
    access: Access,
    min_ttl: Option<u32>,
) -> Result<Given, Failure> {
    asker.set_at_least(min_ttl);
    let duration = asker.duration();
    for _ in 0..ROUNDS {
        let reply = asker.get(|ask, _| {
            let (profile, replaces) = (profile.map(str::to_owned), replaces(environment));
            match access {
                Access::Keys => Request::Credentials { profile, ask, replaces, min_ttl, duration },
                Access::Live { own } => Request::Live { profile, ask, replaces, own, min_ttl, duration },
            }
        })?;
        match (reply, access) {
            (Reply::Credentials(credentials), Access::Keys) => return Ok(Given::Keys(credentials)),
            (Reply::Live(live), Access::Live { .. }) => return Ok(Given::Live(live)),
            // A code was taken: now they are there.
            (Reply::Session(_), _) => {}
            _ => return Err(unexpected()),
        }
    }
    Err(Failure::new(Exit::Failed, "the session is gone as soon as it is there"))
}

/// The credentials of a profile, where an agent runs and has them at hand.
pub fn at_hand(agent: &Agent, profile: Option<String>, environment: &Environment) -> Option<Credentials> {
    let (ask, replaces) = (Ask::AtHand, replaces(environment));
    let request = Request::Credentials { profile, ask, replaces, min_ttl: None, duration: None };
    match agent.ask_running(request) {
        Ok(Some(Reply::Credentials(credentials))) => Some(credentials),
        _ => None,
    }
}

/// The profile whose region this shell may have.
fn replaces(environment: &Environment) -> Option<String> {
    let own = environment.own_profile.as_deref().and_then(OsStr::to_str)?;
    environment.has_region().then(|| own.to_owned())
}

/// The path of the lease, if this host has it: a socket forwarded from elsewhere has none here.
pub fn lease(agent: &Agent, name: &str) -> Option<PathBuf> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_file_name = name.bytes().all(plain) && !name.starts_with('.') && !name.is_empty();
    let path = agent.leases().join(name);
    (is_file_name && platform::exists(&path)).then_some(path)
}

/// The whole of what is printed, or nothing.
pub fn script(
    shell: Shell,
    given: &Given,
    agent: &Agent,
    environment: &Environment,
) -> Result<WipedBytes, Failure> {
    let mut script = WipedBytes::with_capacity(4096);
    let mut odd = None;
    shell.begin(&mut script);
    changes(given, agent, environment, |name, value| match value {
        Some(value) if shell.holds(value) => shell.export(&mut script, name, value),
        Some(_) => odd = Some(name.to_owned()),
        None => shell.unset(&mut script, name),
    })?;
    shell.end(&mut script);
    match odd {
        None => Ok(script),
        Some(name) => Err(Failure::new(
            Exit::Failed,
            format!("the value of {name} cannot be written in a way that is read as it is"),
        )
        .hint("mfa-agent exec PROFILE -- COMMAND sets every value")),
    }
}

/// Tells `change` what becomes of each variable, in a fixed order: its value, or none where it goes. All of it, or
/// nothing.
pub fn changes(
    given: &Given,
    agent: &Agent,
    environment: &Environment,
    mut change: impl FnMut(&str, Option<&[u8]>),
) -> Result<(), Failure> {
    match given {
        Given::Keys(credentials) => check(credentials)?,
        Given::Live(live) => check_live(live)?,
    }
    let common = Common::of(given);
    let lease = common.lease.and_then(|name| lease(agent, name));
    let mut export = |name: &str, value: &[u8]| change(name, Some(value));
    match given {
        Given::Keys(credentials) => {
            export("AWS_ACCESS_KEY_ID", credentials.access_key_id.as_bytes());
            export("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose().as_bytes());
            export("AWS_SESSION_TOKEN", credentials.session_token.expose().as_bytes());
            export("AWS_CREDENTIAL_EXPIRATION", credentials.expiration.as_bytes());
        }
        Given::Live(live) => {
            export("AWS_CONTAINER_CREDENTIALS_FULL_URI", live.uri.as_bytes());
            export("AWS_CONTAINER_AUTHORIZATION_TOKEN", live.token.expose().as_bytes());
        }
    }
    export("AWS_SESSION_EXPIRATION", common.expiration.as_bytes());
    if let Some(region) = common.region {
        for name in REGIONS {
            export(name, region.as_bytes());
        }
    }
    export("MFA_AGENT_PROFILE", common.profile.as_bytes());
    match &lease {
        Some(lease) => export("MFA_AGENT_LEASE", shell::bytes(lease.as_os_str())),
        None => export("MFA_AGENT_LEASE", ALWAYS_THERE.as_bytes()),
    }
    export("MFA_AGENT_EXP", common.expires_at.to_string().as_bytes());
    if lease.is_none() {
        export(LOOK, next_look(common.tail).as_bytes());
    }
    if matches!(given, Given::Live(_)) {
        export("MFA_AGENT_LIVE", b"1");
    }
    for (name, value) in common.variables {
        export(name, value.as_bytes());
    }

    for name in IN_THE_WAY {
        change(name, None);
    }
    let others = match given {
        Given::Keys(_) => IN_THE_WAY_OF_KEYS.as_slice(),
        Given::Live(_) => IN_THE_WAY_OF_LIVE.as_slice(),
    };
    for name in others {
        change(name, None);
    }
    if common.region.is_none() {
        // The region that an earlier `env` set goes; one that the person set stays.
        let set_by_us = |current: &Option<_>| match (current, common.replaced_region) {
            (Some(current), Some(replaced)) => current == OsStr::new(replaced),
            _ => false,
        };
        for name in regions_set_by(environment, set_by_us) {
            change(name, None);
        }
    }
    if lease.is_some() && environment.look.is_some() {
        change(LOOK, None);
    }
    // What the profile before this one set beside credentials goes with it.
    let own = environment.own_profile.as_deref().filter(|own| *own != OsStr::new(common.profile));
    if let Some(Ok((_, variables))) = own.map(|own| given_with(agent, own)) {
        for name in unchanged(variables).filter(|name| !common.variables.contains_key(name)) {
            change(&name, None);
        }
    }
    Ok(())
}

/// When a shell without a lease asks the agent next, and the end of the id of the key that it has.
pub fn next_look(tail: &str) -> String {
    format!("{}-{tail}", clock::now() + LOOK_SECONDS)
}

/// The variables by which a shell is managed, as far as it may have them.
pub fn ours(environment: &Environment) -> impl Iterator<Item = &'static str> {
    OURS.into_iter().chain(environment.look.as_ref().map(|_| LOOK))
}

/// What credentials and live access have in common.
struct Common<'a> {
    profile: &'a str,
    /// How a lease's name ends.
    tail: &'a str,
    expiration: &'a str,
    expires_at: u64,
    region: Option<&'a str>,
    replaced_region: Option<&'a str>,
    lease: Option<&'a str>,
    variables: &'a BTreeMap<String, String>,
}

impl<'a> Common<'a> {
    fn of(given: &'a Given) -> Self {
        match given {
            Given::Keys(credentials) => Self::of_keys(credentials),
            Given::Live(live) => Self::of_live(live),
        }
    }

    fn of_keys(credentials: &'a Credentials) -> Self {
        Self {
            profile: &credentials.profile,
            tail: credentials
                .access_key_id
                .get(credentials.access_key_id.len().saturating_sub(4)..)
                .unwrap_or_default(),
            expiration: &credentials.expiration,
            expires_at: credentials.expires_at,
            region: credentials.region.as_deref(),
            replaced_region: credentials.replaced_region.as_deref(),
            lease: credentials.lease.as_deref(),
            variables: &credentials.variables,
        }
    }

    fn of_live(live: &'a Live) -> Self {
        Self {
            profile: &live.profile,
            tail: "live",
            expiration: &live.expiration,
            expires_at: live.expires_at,
            region: live.region.as_deref(),
            replaced_region: live.replaced_region.as_deref(),
            lease: live.lease.as_deref(),
            variables: &live.variables,
        }
    }
}

/// Nothing but AWS's own alphabets is printed; quoting is the second line of defence.
pub fn check(credentials: &Credentials) -> Result<(), Failure> {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'=');
    let key_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let id = &credentials.access_key_id;
    if !made_of(id, key_id) || !(16..=128).contains(&id.len()) {
        return Err(odd("the access key id"));
    }
    if !made_of(credentials.secret_access_key.expose(), base64) {
        return Err(odd("the secret key"));
    }
    if !made_of(credentials.session_token.expose(), base64) {
        return Err(odd("the session token"));
    }
    check_common(&Common::of_keys(credentials))
}

/// The same for live access: a place on this machine and a token, and nothing else.
fn check_live(live: &Live) -> Result<(), Failure> {
    let path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/');
    let here = live.uri.strip_prefix("http://127.0.0.1:").is_some_and(|rest| made_of(rest, path));
    if !here || !made_of(live.token.expose(), |byte| byte.is_ascii_alphanumeric()) {
        return Err(unexpected());
    }
    check_common(&Common::of_live(live))
}

fn check_common(common: &Common) -> Result<(), Failure> {
    let moment = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z' | b':' | b'-');
    let region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let profile = common.profile;
    if !made_of(common.expiration, moment) {
        return Err(odd("the expiration"));
    }
    if let Some(name) = common.region.filter(|name| !made_of(name, region)) {
        return Err(Failure::new(Exit::Configuration, format!("{name} in profile {profile} is no region"))
            .hint("region = eu-central-1, or another in lower case"));
    }
    let no_value = |name: &str, problem: &str| {
        Failure::new(Exit::Configuration, format!("the variable {name} of profile {profile} {problem}"))
            .hint("mend its `env` in the config.toml of mfa-agent")
    };
    for (name, value) in common.variables {
        if !shell::is_name(name) {
            return Err(no_value(name, "has a name that no shell takes"));
        }
        if is_reserved(name) {
            return Err(no_value(name, "is one that mfa-agent sets itself"));
        }
        if value.contains('\0') {
            return Err(no_value(name, "holds a NUL, which no variable can"));
        }
    }
    if profile.contains('\0') {
        return Err(odd("the profile's name"));
    }
    Ok(())
}

fn odd(thing: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{thing} that came from AWS is not one of AWS's"))
}

fn made_of(text: &str, alphabet: fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(alphabet)
}

/// Removes all that `env` sets. Works without an agent.
pub fn unset(shell: Shell, environment: &Environment) -> WipedBytes {
    let mut script = WipedBytes::with_capacity(1024);
    shell.begin(&mut script);
    for name in CREDENTIALS.into_iter().chain(LIVE).chain(ours(environment)) {
        shell.unset(&mut script, name);
    }
    if let Some(own) = &environment.own_profile {
        let given = Agent::locate(environment).and_then(|agent| given_with(&agent, own));
        let set_by_us = |current: &Option<OsString>| match &given {
            Ok((Some(region), _)) => current.as_deref() == Some(OsStr::new(region)),
            Ok((None, _)) => false,
            // Nobody knows whose region it is. That of a profile which is gone is the worse one to keep.
            Err(_) => current.is_some(),
        };
        for name in regions_set_by(environment, set_by_us) {
            shell.unset(&mut script, name);
        }
        for name in given.into_iter().flat_map(|(_, variables)| unchanged(variables)) {
            shell.unset(&mut script, &name);
        }
    }
    shell.end(&mut script);
    script
}

/// What `env` set for the profile that this shell has, beside credentials: its region and variables, from an agent
/// that runs.
fn given_with(agent: &Agent, own: &OsStr) -> Result<(Option<String>, BTreeMap<String, String>), Failure> {
    let profile = own.to_str().ok_or_else(unexpected)?.to_owned();
    match agent.ask_running(Request::Given { profile })? {
        Some(Reply::Given { region, variables }) => Ok((region, variables)),
        _ => Err(unexpected()),
    }
}

/// The variables that are as `env` set them. One that the person has changed since stays.
fn unchanged(variables: BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let ours = variables.into_iter().filter(|(name, value)| may_be_set(name) && is_set_to(name, value));
    ours.map(|(name, _)| name)
}

/// A variable that the person's configuration may set: a name that shells take, and none of those that we set.
fn may_be_set(name: &str) -> bool {
    shell::is_name(name) && !is_reserved(name)
}

/// One of the variables that we set ourselves.
fn is_reserved(name: &str) -> bool {
    let ours = CREDENTIALS.iter().chain(&OURS).chain([&LOOK]).chain(&IN_THE_WAY).chain(&LIVE).chain(&REGIONS);
    ours.chain(&IN_THE_WAY_OF_LIVE).any(|ours| *ours == name)
}

/// The region variables that `set_by_us` says so of.
fn regions_set_by(
    environment: &Environment,
    set_by_us: impl Fn(&Option<OsString>) -> bool,
) -> impl Iterator<Item = &'static str> {
    let current = [&environment.region, &environment.default_region];
    REGIONS.into_iter().zip(current).filter(move |(_, current)| set_by_us(current)).map(|(name, _)| name)
}
