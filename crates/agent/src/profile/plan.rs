//! What a profile comes down to: a user's long-term key, an MFA device, and the roles to assume in turn.

use protocol::{AwsMfa, KeyOrigin, NamedRole, Profile, Refusal, Sections};

use serde::{Deserialize, Serialize};

use super::files::{ConfigFiles, ServiceEndpoints};
use super::found::{
    Found, KEYRING_KEY, KEYRING_SEED, LONG_TERM, SESSION_NAME, checked_serial, last_four, unknown,
};

/// How long a role session lasts unless the profile says otherwise, and at most when it is assumed from an
/// MFA session (role chaining), in seconds.
pub const ROLE_SECONDS: u32 = 3_600;

/// What `AssumeRole` accepts as `DurationSeconds`.
pub const ROLE_BOUNDS: std::ops::RangeInclusive<u32> = 900..=43_200;

/// What is to be done for a profile.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The profile.
    pub profile: String,
    /// Its own region.
    pub region: Option<String>,
    /// The user that all begins with.
    pub user: User,
    /// The MFA device.
    pub serial: Serial,
    /// The section whose `mfa_process` prints the code, where there is one.
    pub mfa_process: Option<String>,
    /// The keyring has the device's seed, by the profile's word.
    pub keyring_seed: bool,
    /// How long the MFA session shall last, where the profile says so, in seconds.
    pub duration: Option<u32>,
    /// The roles to assume, from the user outwards; the last is the profile's own.
    pub hops: Vec<Hop>,
}

/// An IAM user with a long-term key.
#[derive(Debug, Clone)]
pub struct User {
    /// The profile whose settings hold for calls with this key.
    pub profile: String,
    /// The key's id.
    pub key_id: String,
    /// Where the key is.
    pub origin: KeyOrigin,
    /// How to call AWS with it.
    pub target: Target,
}

/// How to call AWS for a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The region.
    pub region: Option<String>,
    /// `endpoint_url`.
    pub endpoint: Option<String>,
    /// `services`: the name of a section, and what is in it, if it is there.
    pub services: Option<(String, Option<ServiceEndpoints>)>,
    /// `ignore_configured_endpoint_urls`.
    pub ignore_endpoints: Option<bool>,
    /// `ca_bundle`.
    pub ca_bundle: Option<String>,
    /// `use_fips_endpoint`.
    pub fips: Option<bool>,
    /// `use_dualstack_endpoint`.
    pub dual_stack: Option<bool>,
}

/// The MFA device of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serial {
    /// The files name it.
    Configured(String),
    /// It must be looked up.
    Unknown,
}

/// One role to assume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// The profile that asks for it.
    pub profile: String,
    /// `role_arn`.
    pub role_arn: String,
    /// `role_session_name`.
    pub session_name: String,
    /// `external_id`.
    pub external_id: Option<String>,
    /// `duration_seconds`, where the profile says so.
    pub duration: Option<u32>,
    /// The region that STS is called in.
    pub region: Option<String>,
    /// What goes along with the role.
    pub context: RoleContext,
}

/// What goes along with a role, as `AssumeRole` is asked for it.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoleContext {
    /// `session_tags`: keys and values.
    pub tags: Vec<(String, String)>,
    /// `transitive_session_tags`: the keys of those that go on to further roles.
    pub transitive_tags: Vec<String>,
    /// `source_identity`.
    pub source_identity: Option<String>,
    /// `policy_arns`: the role may do no more than these policies say.
    pub policy_arns: Vec<String>,
}

impl Hop {
    /// A role of which nothing is known but its ARN.
    fn plain(profile: &str, role_arn: &str, region: Option<String>) -> Self {
        Self {
            profile: profile.to_owned(),
            role_arn: role_arn.to_owned(),
            session_name: SESSION_NAME.to_owned(),
            external_id: None,
            duration: None,
            region,
            context: RoleContext::default(),
        }
    }
}

impl Plan {
    /// The one role that takes an MFA code of its own: assumed from a user directly, for longer than a role
    /// may last that is assumed from an MFA session.
    pub fn role_with_mfa(&self) -> Option<&Hop> {
        match self.hops.as_slice() {
            [hop] if hop.duration.is_some_and(|seconds| seconds > ROLE_SECONDS) => Some(hop),
            _ => None,
        }
    }
}

/// Works a profile out. What cannot work is refused here, before a code is asked for.
pub fn plan(files: &ConfigFiles, profile: &str) -> Result<Plan, Refusal> {
    plan_for(files, profile, Device::Needed)
}

/// The same for calls that need no device: one that cannot work is as good as none.
pub fn plan_without_device(files: &ConfigFiles, profile: &str) -> Result<Plan, Refusal> {
    plan_for(files, profile, Device::Unneeded)
}

/// How to call AWS for a profile; one that does not exist has no settings.
pub fn target(files: &ConfigFiles, profile: &str) -> Result<Target, Refusal> {
    let settings = with_settings(profile);
    Found::new(files, settings).map_or(Ok(Target::default()), |found| found.target(files, settings))
}

/// The profile whose settings hold: of a role that is named by its ARN, the one that it is assumed from.
fn with_settings(profile: &str) -> &str {
    NamedRole::of(profile).and_then(|role| role.source).unwrap_or(profile)
}

/// Whether the device counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Device {
    Needed,
    Unneeded,
}

fn plan_for(files: &ConfigFiles, profile: &str, device: Device) -> Result<Plan, Refusal> {
    let mut hops = Vec::new();
    let mut visited: Vec<&str> = Vec::new();
    let mut serial = None;
    let mut mfa_process = None;
    let mut keyring_seed = None;
    let mut name = profile;
    if let Some(NamedRole { source, arn }) = NamedRole::of(profile) {
        name = source.ok_or_else(|| Refusal::NoSource { role_arn: arn.to_owned() })?;
        let found = Found::new(files, name).ok_or_else(|| unknown(files, name, Some(profile.to_owned())))?;
        hops.push(Hop::plain(profile, arn, found.region(name)?));
    }
    loop {
        let found = Found::new(files, name)
            .ok_or_else(|| unknown(files, name, visited.last().map(|name| (*name).to_owned())))?;
        found.check_includes(name)?;
        visited.push(name);
        if serial.is_none() {
            serial = match found.serial(name) {
                Err(_) if device == Device::Unneeded => None,
                found => found?,
            };
        }
        mfa_process = mfa_process.or_else(|| found.section_with("mfa_process", name));
        keyring_seed = keyring_seed.or_else(|| found.get(KEYRING_SEED));
        let Some(role_arn) = found.role_arn() else { break };
        hops.push(found.hop(name, role_arn)?);
        match found.get("source_profile") {
            Some(source) if source == name => break,
            Some(source) => {
                if let Some(first) = visited.iter().position(|visited| *visited == source) {
                    let mut profiles: Vec<String> =
                        visited[first..].iter().map(|&name| name.to_owned()).collect();
                    profiles.push(source.to_owned());
                    return Err(Refusal::SourceCycle { profiles });
                }
                name = source;
            }
            None if found.has_key() => break,
            None => return Err(found.no_source(name)),
        }
    }
    hops.reverse();

    let settings = with_settings(profile);
    let own = Found::new(files, settings).ok_or_else(|| unknown(files, settings, None))?;
    let found = Found::new(files, name).ok_or_else(|| unknown(files, name, None))?;
    let region = own.region(settings)?;
    let mut target = found.target(files, name)?;
    // A user without a region is reached where its role is at home, partition and all.
    target.region = target.region.or_else(|| region.clone());
    let (key_id, origin) = found.key(files, name)?;
    let duration = if hops.is_empty() { found.duration(name, protocol::SESSION_SECONDS)? } else { None };
    Ok(Plan {
        profile: profile.to_owned(),
        region,
        user: User { profile: name.to_owned(), key_id, origin, target },
        serial: serial.map_or(Serial::Unknown, Serial::Configured),
        mfa_process,
        keyring_seed: keyring_seed.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        duration,
        hops,
    })
}

/// Works out what aws-mfa's options describe: its key and role, with the region and endpoint of the profile.
pub fn plan_aws_mfa(files: &ConfigFiles, wanted: &AwsMfa) -> Result<Plan, Refusal> {
    let name = &wanted.profile;
    let Some(long_term) = files.section(&wanted.key_section) else {
        return Err(Refusal::NoKey { section: wanted.key_section.clone(), file: files.credentials_file() });
    };
    let section = files.section(name).filter(|_| *name != wanted.key_section);
    let long_term = Some((long_term, wanted.key_section.clone()));
    let found = Found { section, long_term, included: Vec::new(), include_problem: None };
    let serial = match &wanted.serial {
        Some(serial) => Some(checked_serial(name, serial)?),
        None => found.serial(name)?,
    };
    let region = found.region(name)?;
    let hops = match &wanted.role_arn {
        None => Vec::new(),
        Some(role_arn) => {
            let session_name = wanted.role_session_name.as_deref();
            let hop = found.hop_named(name, role_arn, session_name.unwrap_or(SESSION_NAME))?;
            let duration = match wanted.duration {
                Some(seconds) if !ROLE_BOUNDS.contains(&seconds) => {
                    let (least, most) = (*ROLE_BOUNDS.start(), *ROLE_BOUNDS.end());
                    return Err(Refusal::DurationOutOfBounds { seconds, least, most });
                }
                duration => duration,
            };
            vec![Hop { external_id: None, duration, ..hop }]
        }
    };
    let duration = if hops.is_empty() { found.duration(name, protocol::SESSION_SECONDS)? } else { None };
    let (key_id, origin) = found.key(files, name)?;
    Ok(Plan {
        profile: name.clone(),
        region,
        user: User { profile: name.clone(), key_id, origin, target: found.target(files, name)? },
        serial: serial.map_or(Serial::Unknown, Serial::Configured),
        mfa_process: None,
        keyring_seed: false,
        duration,
        hops,
    })
}

/// Every profile of the files from after this name on, and whether it can work.
pub fn list(files: &ConfigFiles, after: Option<&str>) -> Vec<Profile> {
    let mut names: Vec<&str> =
        files.names().map(|name| name.strip_suffix(LONG_TERM).unwrap_or(name)).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| after.is_none_or(|after| *name > after))
        .filter_map(|name| {
            let found = Found::new(files, name)?;
            let plan = plan(files, name);
            Some(Profile {
                name: name.to_owned(),
                region: found.get("region").map(str::to_owned),
                source_profile: found.get("source_profile").map(str::to_owned),
                role_arn: found.role_arn().map(str::to_owned),
                serial: found.configured_serial().map(str::to_owned),
                keyring_seed: plan.as_ref().is_ok_and(|plan| plan.keyring_seed),
                recent: None,
                problem: plan.err(),
            })
        })
        .collect()
}

/// A role that is named by its ARN, as [`list`] has profiles.
pub fn described_role(files: &ConfigFiles, name: &str) -> Profile {
    let role = NamedRole::of(name);
    Profile {
        name: name.to_owned(),
        region: region(files, name),
        source_profile: role.and_then(|role| role.source).map(str::to_owned),
        role_arn: role.map(|role| role.arn.to_owned()),
        serial: None,
        keyring_seed: false,
        recent: None,
        problem: plan(files, name).err(),
    }
}

/// The setting of `[default]` by which SDKs get credentials before they ask where a container's are.
pub fn wins_over_live(files: &ConfigFiles) -> Option<&'static str> {
    let section = files.section("default");
    let found = Found { section, long_term: None, included: Vec::new(), include_problem: None };
    if found.has_key() {
        return Some("aws_access_key_id");
    }
    if found.get("role_arn").is_some() {
        return Some("role_arn");
    }
    found.other_way()
}

/// A profile's own region.
pub fn region(files: &ConfigFiles, profile: &str) -> Option<String> {
    Found::new(files, with_settings(profile))?.get("region").map(str::to_owned)
}

/// What SDKs find in these sections.
pub fn sections(files: &ConfigFiles, names: &[String]) -> Sections {
    let sections = names.iter().filter_map(|name| {
        let section = files.section(name)?;
        let key = section.get("aws_access_key_id").filter(|_| section.has("aws_secret_access_key"));
        let temporary = section.has("aws_session_token") || section.has("aws_security_token");
        let settings = WAYS.into_iter().filter(|setting| section.get(setting).is_some());
        let settings = settings.map(str::to_owned).collect();
        let (key, keyring_key) = (key.map(last_four), section.get(KEYRING_KEY).map(last_four));
        Some((name.clone(), protocol::Section { key, keyring_key, temporary, settings }))
    });
    Sections {
        config_file: files.config_file(),
        credentials_file: files.credentials_file(),
        keys_in_config: files.keys_in_config(),
        sections: sections.collect(),
    }
}

/// The settings by which SDKs get credentials in other ways than by a key.
const WAYS: [&str; 8] = [
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];
