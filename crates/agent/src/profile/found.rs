//! What the sections of a profile say, its own and those that go with it.

use protocol::{KeyOrigin, Refusal};

use super::files::{ConfigFiles, Section};
use super::plan::{Hop, ROLE_BOUNDS, RoleContext, Target};

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
pub const SESSION_NAME: &str = "mfa-agent";

/// What aws-mfa appends to a profile's name for the section with its long-term key.
pub const LONG_TERM: &str = "-long-term";

/// The setting by which a section says that its long-term key is in the keyring: the key's id. No other tool knows it.
pub const KEYRING_KEY: &str = "mfa_agent_keyring_key";

/// The setting by which a profile says that the seed of its MFA device is in the keyring: `true`.
pub const KEYRING_SEED: &str = "mfa_agent_keyring_seed";

/// A profile's sections: its own, aws-mfa's, and those that it includes.
pub struct Found<'a> {
    /// The section of its very name.
    pub section: Option<&'a Section>,
    /// The section with the long-term key, and its name.
    pub long_term: Option<(&'a Section, String)>,
    /// What it includes, the nearest first.
    pub included: Vec<&'a Section>,
    /// An include that leads nowhere, or in a circle: the setting and its value.
    pub include_problem: Option<(&'static str, &'a str)>,
}

impl<'a> Found<'a> {
    /// What the files have of a profile; none where they do not know it.
    pub fn new(files: &'a ConfigFiles, name: &str) -> Option<Self> {
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

    /// A setting, where the first section that has it says so.
    pub fn get(&self, setting: &str) -> Option<&'a str> {
        let own = [self.section, self.long_term()].into_iter().flatten();
        own.chain(self.included.iter().copied()).find_map(|section| section.get(setting))
    }

    /// Refuses an include that leads nowhere, or in a circle.
    pub fn check_includes(&self, profile: &str) -> Result<(), Refusal> {
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

    /// The role that it assumes.
    pub fn role_arn(&self) -> Option<&'a str> {
        self.get("role_arn").or_else(|| self.long_term().and_then(|section| section.get("assume_role")))
    }

    /// The MFA device, as it is written.
    pub fn configured_serial(&self) -> Option<&'a str> {
        self.get("mfa_serial").or_else(|| self.long_term().and_then(|section| section.get("aws_mfa_device")))
    }

    /// The section that has a secret setting.
    pub fn section_with(&self, secret: &str, name: &str) -> Option<String> {
        let has = |section: Option<&Section>| section.is_some_and(|section| section.has(secret));
        match (has(self.section), has(self.long_term())) {
            (true, _) => Some(name.to_owned()),
            (false, true) => Some(format!("{name}{LONG_TERM}")),
            (false, false) => None,
        }
    }

    /// The MFA device, if it is one that STS takes a code from.
    pub fn serial(&self, profile: &str) -> Result<Option<String>, Refusal> {
        self.configured_serial().map(|serial| checked_serial(profile, serial)).transpose()
    }

    /// The step to its role.
    pub fn hop(&self, profile: &str, role_arn: &str) -> Result<Hop, Refusal> {
        let hop = self.hop_named(profile, role_arn, self.get("role_session_name").unwrap_or(SESSION_NAME))?;
        Ok(Hop { duration: self.duration(profile, ROLE_BOUNDS)?, ..hop })
    }

    /// The same, for a session of this name.
    pub fn hop_named(&self, profile: &str, role_arn: &str, session_name: &str) -> Result<Hop, Refusal> {
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

    /// `duration_seconds`, within these bounds.
    pub fn duration(
        &self,
        profile: &str,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, Refusal> {
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

    /// Its region, if it is one.
    pub fn region(&self, profile: &str) -> Result<Option<String>, Refusal> {
        let Some(region) = self.get("region") else { return Ok(None) };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !region.chars().all(allowed) {
            return Err(bad(profile, "region", region, "a region's code, e.g. eu-central-1"));
        }
        Ok(Some(region.to_owned()))
    }

    /// Where its calls go.
    pub fn target(&self, files: &ConfigFiles, profile: &str) -> Result<Target, Refusal> {
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

    /// Whether a long-term key is in it, or half of one.
    pub fn has_key(&self) -> bool {
        [self.section, self.long_term()].into_iter().flatten().any(|section| {
            section.get("aws_access_key_id").is_some()
                || section.has("aws_secret_access_key")
                || section.get(KEYRING_KEY).is_some()
        })
    }

    /// The long-term key's id, and where the key is.
    pub fn key(&self, files: &ConfigFiles, name: &str) -> Result<(String, KeyOrigin), Refusal> {
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
    pub fn other_way(&self) -> Option<&'static str> {
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

    /// Why a role without `source_profile` cannot work.
    pub fn no_source(&self, profile: &str) -> Refusal {
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
pub fn checked_serial(profile: &str, serial: &str) -> Result<String, Refusal> {
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

/// A setting that has no such value.
pub fn bad(profile: &str, setting: &str, value: &str, must: &str) -> Refusal {
    Refusal::BadSetting {
        profile: profile.to_owned(),
        setting: setting.to_owned(),
        value: value.to_owned(),
        must: must.to_owned(),
    }
}

/// No file has this profile.
pub fn unknown(files: &ConfigFiles, profile: &str, named_by: Option<String>) -> Refusal {
    let names = files.names().map(|name| name.strip_suffix(LONG_TERM).unwrap_or(name));
    Refusal::UnknownProfile {
        profile: profile.to_owned(),
        named_by,
        nearest: nearest(names, profile),
        files: vec![files.config_file(), files.credentials_file()],
    }
}
