//! What is there of a profile already.

use protocol::{Profile, Refusal, Sections};

use super::rc_file::RcFile;
use super::settings::Settings;
use crate::agent::Agent;
use crate::args::{Code, Color};
use crate::commands::device::User;
use crate::commands::doctor::{self, Finding};
use crate::commands::policy::check;
use crate::commands::status::Look;
use crate::commands::why::LONG_TERM;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::mfa::Asker;
use crate::shell::word;
use crate::{message, regions};

/// What was found.
#[expect(clippy::struct_excessive_bools, reason = "each is a step of its own")]
pub struct State {
    /// The profile has a long-term key, and AWS knows it.
    pub has_key: bool,
    /// That is in AWS's files, for every program of the person's to read.
    pub key_in_the_clear: bool,
    /// What the config file has.
    pub settings: Settings,
    /// The user has a device, and the profile names it.
    pub has_device: bool,
    /// Calls without MFA are denied.
    pub policy_in_force: bool,
    /// The rc file of the person's shell, where there is a hook for that.
    pub rc_file: Option<RcFile>,
    findings: Vec<Finding>,
}

impl State {
    /// Looks at the files, and at AWS by what the key alone may call. No code is asked for.
    /// `keyring`: the key is to be in the keyring.
    pub fn look(
        agent: &Agent,
        name: &str,
        keyring: bool,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let profiles = agent.profiles()?;
        let profile = profiles.iter().find(|profile| profile.name == name);
        let has_key = has_key(profile)?;
        let mut state = Self {
            has_key,
            key_in_the_clear: false,
            settings: Settings::read(name)?,
            has_device: false,
            policy_in_force: false,
            rc_file: RcFile::of_person(environment)?,
            findings: Vec::new(),
        };
        if has_key {
            let asker = Asker::new(agent, &Code::default(), true)?;
            let mut iam = Iam::new(agent, Some(name), asker);
            let user = User::of(&mut iam)?;
            let sections = agent.sections(vec![name.to_owned(), format!("{name}{LONG_TERM}")])?;
            state.look_at_key(&sections, &user.name, keyring);
            state.look_at_settings();
            state.look_at_device(&user, profile.and_then(|profile| profile.serial.as_deref()));
            state.policy_in_force = check::is_in_force(&mut iam, &user.name)?;
            if state.policy_in_force {
                state.found("policy", "nothing goes without MFA");
            } else {
                state.missing("policy", format!("AWS does not ask {} for MFA", user.name));
            }
        } else {
            state.missing("key", if keyring { "none; it goes into the keyring" } else { "none" });
            state.look_at_settings();
            state.missing("device", "not known without a key");
            state.missing("policy", "not known without a key");
        }
        match &state.rc_file {
            Some(file) if file.loads => state.found("hook", format!("loaded by {}", file.path.display())),
            Some(file) => state.missing("hook", format!("{} does not load it", file.path.display())),
            None => state.found("hook", "there is none for this shell; bash, zsh and fish have one"),
        }
        Ok(state)
    }

    /// A line for each thing.
    pub fn text(&self, color: Color) -> String {
        doctor::text(&self.findings, Look::of(color))
    }

    fn found(&mut self, what: &'static str, words: impl Into<String>) {
        self.findings.push(Finding::ok(what, words));
    }

    fn missing(&mut self, what: &'static str, words: impl Into<String>) {
        self.findings.push(Finding::missing(what, words));
    }

    fn look_at_key(&mut self, sections: &Sections, user: &str, keyring: bool) {
        let sections = || sections.sections.values();
        // It wins over one of the keyring's.
        if let Some(key) = sections().find_map(|section| section.key.as_ref()) {
            self.key_in_the_clear = true;
            let words = format!("…{key}, of user {user}");
            if keyring {
                self.missing("key", format!("{words}, in the clear; it goes into the keyring"));
            } else {
                self.found("key", words);
            }
            return;
        }
        let held = sections().find_map(|section| section.keyring_key.as_ref());
        let key = held.map(|key| format!("…{key}, in the keyring, ")).unwrap_or_default();
        self.found("key", format!("{key}of user {user}"));
    }

    fn look_at_settings(&mut self) {
        match self.settings.region.clone() {
            Some(region) if regions::is_known(&region) => self.found("region", region),
            Some(region) => self.found("region", format!("{region}, which is not known here")),
            None => self.missing("region", "none"),
        }
        match self.settings.output.clone() {
            Some(output) => self.found("output", output),
            None => self.missing("output", "none: the AWS CLI prints json"),
        }
    }

    fn look_at_device(&mut self, user: &User, named: Option<&str>) {
        let first = user.usable().next().map(|device| device.serial.clone());
        match (named, first) {
            (Some(named), _) if user.is_enabled(named) => {
                self.has_device = true;
                self.found("device", named);
            }
            (Some(named), Some(_)) => {
                self.missing("device", format!("mfa_serial is {named}, which is none of {}'s", user.name));
            }
            (None, Some(serial)) => {
                self.missing("device", format!("{serial}, which the profile does not name"));
            }
            (_, None) => self.missing("device", format!("{} has none", user.name)),
        }
    }
}

/// Whether a profile has a key of its own. What cannot be set up is a failure.
fn has_key(profile: Option<&Profile>) -> Result<bool, Failure> {
    let Some(profile) = profile else { return Ok(false) };
    if let (Some(_), Some(source)) = (&profile.role_arn, &profile.source_profile) {
        let what = format!("profile {} is a role's; its user is {source}'s", profile.name);
        return Err(Failure::new(Exit::Usage, what).hint(format!("mfa-agent setup {}", word(source))));
    }
    match &profile.problem {
        None => Ok(true),
        Some(Refusal::NoKey { .. } | Refusal::UnknownProfile { .. }) => Ok(false),
        Some(problem) => Err(message::refused(problem)),
    }
}
