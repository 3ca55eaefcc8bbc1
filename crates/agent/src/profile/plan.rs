//! What a profile comes down to: a user's long-term key, an MFA device, and the roles to assume in turn.

use protocol::{AwsMfa, KeyOrigin, NamedRole, Profile, Refusal, Sections};

use serde::{Deserialize, Serialize};

use super::files::{ConfigFiles, Section, ServiceEndpoints};

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

/// The names most like a mistyped one, best first.
pub fn nearest<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> Vec<String> {
    // The distance of long names costs more than the help is worth.
    if wanted.len() > LONGEST_NAME {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> = names
        .filter(|name| name.len() <= LONGEST_NAME)
        .map(|name| (strsim::damerau_levenshtein(&name.to_lowercase(), &wanted.to_lowercase()), name))
        .filter(|(distance, name)| {
            *distance <= 1 + wanted.chars().count() / 4 || (wanted.len() >= 3 && name.contains(wanted))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// The longest name that is looked at for likeness, in bytes.
const LONGEST_NAME: usize = 64;

/// The name of a role session, where nobody gives it one.
const SESSION_NAME: &str = "mfa-agent";

/// What aws-mfa appends to a profile's name for the section with its long-term key.
const LONG_TERM: &str = "-long-term";

/// The setting by which a section says that its long-term key is in the keyring: the key's id. No other tool knows it.
const KEYRING_KEY: &str = "mfa_agent_keyring_key";

/// The setting by which a profile says that the seed of its MFA device is in the keyring: `true`.
const KEYRING_SEED: &str = "mfa_agent_keyring_seed";

/// A profile's sections: its own, aws-mfa's, and those that it includes.
struct Found<'a> {
    section: Option<&'a Section>,
    /// The section with the long-term key, and its name.
    long_term: Option<(&'a Section, String)>,
    included: Vec<&'a Section>,
    /// An include that leads nowhere, or in a circle: the setting and its value.
    include_problem: Option<(&'static str, &'a str)>,
}

impl<'a> Found<'a> {
    fn new(files: &'a ConfigFiles, name: &str) -> Option<Self> {
        let section = files.section(name);
        let long_term_name = format!("{name}{LONG_TERM}");
        let long_term = files.section(&long_term_name).map(|section| (section, long_term_name));
        let mut found = (section.is_some() || long_term.is_some()).then_some(Self {
            section,
            long_term,
            included: Vec::new(),
            include_problem: None,
        })?;
        let mut names = vec![name];
        let mut last = section.or(found.long_term());
        while let Some((setting, next)) = last.and_then(Section::include) {
            last = files.section(next).filter(|_| !names.contains(&next));
            match last {
                Some(included) => found.included.push(included),
                None => found.include_problem = Some((setting, next)),
            }
            names.push(next);
        }
        Some(found)
    }

    fn get(&self, setting: &str) -> Option<&'a str> {
        let own = [self.section, self.long_term()].into_iter().flatten();
        own.chain(self.included.iter().copied()).find_map(|section| section.get(setting))
    }

    fn check_includes(&self, profile: &str) -> Result<(), Refusal> {
        match self.include_problem {
            Some((setting, value)) => {
                Err(bad(profile, setting, value, "a profile of your AWS files, and no circle"))
            }
            None => Ok(()),
        }
    }

    fn long_term(&self) -> Option<&'a Section> {
        self.long_term.as_ref().map(|(section, _)| *section)
    }

    fn role_arn(&self) -> Option<&'a str> {
        self.get("role_arn").or_else(|| self.long_term().and_then(|section| section.get("assume_role")))
    }

    fn configured_serial(&self) -> Option<&'a str> {
        self.get("mfa_serial").or_else(|| self.long_term().and_then(|section| section.get("aws_mfa_device")))
    }

    /// The section that has a secret setting.
    fn section_with(&self, secret: &str, name: &str) -> Option<String> {
        let has = |section: Option<&Section>| section.is_some_and(|section| section.has(secret));
        match (has(self.section), has(self.long_term())) {
            (true, _) => Some(name.to_owned()),
            (false, true) => Some(format!("{name}{LONG_TERM}")),
            (false, false) => None,
        }
    }

    fn serial(&self, profile: &str) -> Result<Option<String>, Refusal> {
        self.configured_serial().map(|serial| checked_serial(profile, serial)).transpose()
    }

    fn hop(&self, profile: &str, role_arn: &str) -> Result<Hop, Refusal> {
        let hop = self.hop_named(profile, role_arn, self.get("role_session_name").unwrap_or(SESSION_NAME))?;
        Ok(Hop { duration: self.duration(profile, ROLE_BOUNDS)?, ..hop })
    }

    fn hop_named(&self, profile: &str, role_arn: &str, session_name: &str) -> Result<Hop, Refusal> {
        if !(role_arn.starts_with("arn:") && role_arn.contains(":role/")) {
            return Err(bad(profile, "role_arn", role_arn, "a role's ARN (arn:aws:iam::ACCOUNT:role/NAME)"));
        }
        // STS: `RoleSessionName`, 2 to 64 of [\w+=,.@-].
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&session_name.len()) || !session_name.chars().all(allowed) {
            return Err(bad(
                profile,
                "role_session_name",
                session_name,
                "2 to 64 letters, digits or any of _+=,.@-",
            ));
        }
        let external_id = self.get("external_id");
        // STS: `ExternalId`, 2 to 1,224 of [\w+=,.@:/-].
        if let Some(id) = external_id
            && (!(2..=1_224).contains(&id.len()) || !id.chars().all(|c| allowed(c) || ":/".contains(c)))
        {
            return Err(bad(profile, "external_id", id, "2 to 1,224 letters, digits or any of _+=,.@:/-"));
        }
        Ok(Hop {
            profile: profile.to_owned(),
            role_arn: role_arn.to_owned(),
            session_name: session_name.to_owned(),
            external_id: external_id.map(str::to_owned),
            duration: None,
            region: self.region(profile)?,
            context: self.context(profile)?,
        })
    }

    /// aws-vault's settings, and one for policies, which no other tool reads from a file.
    fn context(&self, profile: &str) -> Result<RoleContext, Refusal> {
        let list = |setting: &str| {
            let items = self.get(setting).unwrap_or_default().split(',').map(str::trim);
            items.filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let refuse = |setting: &str, value: &str, must: &str| Err(bad(profile, setting, value, must));
        // STS: letters, digits and spaces of any script, and _.:/=+-@.
        let of_a_tag = |text: &str, most| {
            text.chars().count() <= most
                && text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
        };
        let mut tags: Vec<(String, String)> = Vec::new();
        for tag in list("session_tags") {
            let Some((key, value)) = tag.split_once('=').map(|(key, value)| (key.trim(), value.trim()))
            else {
                return refuse("session_tags", &tag, "KEY=VALUE, and a comma before the next");
            };
            if key.is_empty() || !of_a_tag(key, 128) || !of_a_tag(value, 256) {
                return refuse("session_tags", &tag, "letters, digits, spaces or any of _.:/=+-@");
            }
            if tags.iter().any(|(other, _)| other.to_lowercase() == key.to_lowercase()) {
                return refuse("session_tags", &tag, "one tag of each key: AWS does not tell capitals apart");
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        let transitive_tags = list("transitive_session_tags");
        if let Some(key) = transitive_tags.iter().find(|key| tags.iter().all(|(tag, _)| tag != *key)) {
            return refuse("transitive_session_tags", key, "keys of session_tags");
        }
        let source_identity = self.get("source_identity");
        // STS: `SourceIdentity`, 2 to 64 of [\w+=,.@-], and not aws:…
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if let Some(identity) = source_identity
            && (!(2..=64).contains(&identity.len()) || !identity.chars().all(allowed))
        {
            return refuse("source_identity", identity, "2 to 64 letters, digits or any of _+=,.@-");
        }
        let policy_arns = list("policy_arns");
        let is_policy = |arn: &str| arn.starts_with("arn:") && arn.contains(":policy/");
        if let Some(arn) = policy_arns.iter().find(|arn| !is_policy(arn)) {
            return refuse("policy_arns", arn, "ARNs of policies (arn:aws:iam::ACCOUNT:policy/NAME)");
        }
        if tags.len() > 50 || policy_arns.len() > 10 {
            let (setting, count) = if tags.len() > 50 {
                ("session_tags", tags.len())
            } else {
                ("policy_arns", policy_arns.len())
            };
            return refuse(setting, &format!("{count} of them"), "no more than 50 tags and 10 policies");
        }
        Ok(RoleContext {
            tags,
            transitive_tags,
            source_identity: source_identity.map(str::to_owned),
            policy_arns,
        })
    }

    fn duration(&self, profile: &str, bounds: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.get("duration_seconds") else { return Ok(None) };
        match text.parse() {
            Ok(seconds) if bounds.contains(&seconds) => Ok(Some(seconds)),
            _ => Err(bad(
                profile,
                "duration_seconds",
                text,
                &format!("a number of seconds from {} to {}", bounds.start(), bounds.end()),
            )),
        }
    }

    fn region(&self, profile: &str) -> Result<Option<String>, Refusal> {
        let Some(region) = self.get("region") else { return Ok(None) };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !region.chars().all(allowed) {
            return Err(bad(profile, "region", region, "a region's code, e.g. eu-central-1"));
        }
        Ok(Some(region.to_owned()))
    }

    fn target(&self, files: &ConfigFiles, profile: &str) -> Result<Target, Refusal> {
        let flag = |setting| self.get(setting).map(|value| value.eq_ignore_ascii_case("true"));
        let services = self.get("services");
        Ok(Target {
            region: self.region(profile)?,
            endpoint: self.get("endpoint_url").map(str::to_owned),
            services: services.map(|name| (name.to_owned(), files.services(name).cloned())),
            ignore_endpoints: flag("ignore_configured_endpoint_urls"),
            ca_bundle: self.get("ca_bundle").map(str::to_owned),
            fips: flag("use_fips_endpoint"),
            dual_stack: flag("use_dualstack_endpoint"),
        })
    }

    fn has_key(&self) -> bool {
        [self.section, self.long_term()].into_iter().flatten().any(|section| {
            section.get("aws_access_key_id").is_some()
                || section.has("aws_secret_access_key")
                || section.get(KEYRING_KEY).is_some()
        })
    }

    fn key(&self, files: &ConfigFiles, name: &str) -> Result<(String, KeyOrigin), Refusal> {
        let (section, section_name) = match (&self.long_term, self.section) {
            (Some((long_term, section_name)), _) => (*long_term, section_name.clone()),
            (None, Some(section)) => (section, name.to_owned()),
            (None, None) => return Err(unknown(files, name, None)),
        };
        let file = files.credentials_file();
        let missing = |missing: &str| Refusal::HalfKey {
            section: section_name.clone(),
            missing: missing.to_owned(),
            file: file.clone(),
        };
        match (section.get("aws_access_key_id"), section.has("aws_secret_access_key")) {
            (None, false) => match (section.get(KEYRING_KEY), self.other_way()) {
                (Some(id), _) => {
                    let last_four = last_four(id);
                    Ok((id.to_owned(), KeyOrigin { last_four, section: section_name, file, keyring: true }))
                }
                (None, Some(setting)) => {
                    Err(Refusal::NotOurs { profile: name.to_owned(), setting: setting.to_owned() })
                }
                (None, None) => Err(Refusal::NoKey { section: section_name, file }),
            },
            (None, true) => Err(missing("aws_access_key_id")),
            (Some(_), false) => Err(missing("aws_secret_access_key")),
            (Some(id), true) => {
                let temporary = section.has("aws_session_token") || section.has("aws_security_token");
                if temporary || id.starts_with("ASIA") {
                    return Err(Refusal::TemporaryKey { section: section_name });
                }
                let last_four = last_four(id);
                Ok((id.to_owned(), KeyOrigin { last_four, section: section_name, file, keyring: false }))
            }
        }
    }

    /// The setting by which a profile gets its credentials in another way than by a long-term key.
    fn other_way(&self) -> Option<&'static str> {
        [
            "sso_session",
            "sso_start_url",
            "sso_account_id",
            "login_session",
            "web_identity_token_file",
            "credential_source",
            "credential_process",
        ]
        .into_iter()
        .find(|setting| self.get(setting).is_some())
    }

    fn no_source(&self, profile: &str) -> Refusal {
        match self.other_way() {
            Some(setting) => Refusal::NotOurs { profile: profile.to_owned(), setting: setting.to_owned() },
            None => bad(profile, "source_profile", "", "the profile whose key may assume the role"),
        }
    }
}

/// The end of a key's id, by which people tell keys from one another.
pub fn last_four(key_id: &str) -> String {
    key_id.chars().skip(key_id.chars().count().saturating_sub(4)).collect()
}

/// A device that STS takes a code from.
fn checked_serial(profile: &str, serial: &str) -> Result<String, Refusal> {
    let (profile, serial) = (profile.to_owned(), serial.to_owned());
    if serial.starts_with("arn:") && serial.contains(":user/") {
        return Err(Refusal::SerialIsUser { profile, serial });
    }
    if serial.starts_with("arn:") && serial.contains(":u2f/") {
        return Err(Refusal::SerialIsFido { profile, serial });
    }
    // IAM: `SerialNumber`, 9 to 256 of [\w+=/:,.@-].
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c);
    if !(9..=256).contains(&serial.len()) || !serial.chars().all(allowed) {
        return Err(bad(
            &profile,
            "mfa_serial",
            &serial,
            "the device's ARN (arn:aws:iam::ACCOUNT:mfa/NAME) or its serial number",
        ));
    }
    Ok(serial)
}

fn bad(profile: &str, setting: &str, value: &str, must: &str) -> Refusal {
    Refusal::BadSetting {
        profile: profile.to_owned(),
        setting: setting.to_owned(),
        value: value.to_owned(),
        must: must.to_owned(),
    }
}

fn unknown(files: &ConfigFiles, profile: &str, named_by: Option<String>) -> Refusal {
    let names = files.names().map(|name| name.strip_suffix(LONG_TERM).unwrap_or(name));
    Refusal::UnknownProfile {
        profile: profile.to_owned(),
        named_by,
        nearest: nearest(names, profile),
        files: vec![files.config_file(), files.credentials_file()],
    }
}
