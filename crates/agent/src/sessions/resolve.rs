//! From a profile's name to the session that it rests on.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::{AwsMfa, IamAnswer, IamCall, NamedRole, Question, Refusal, Reply, SESSION_SECONDS};

use super::{Lasting, Sessions, TTL_SLACK};
use crate::configuration::Configuration;
use crate::endpoint::{Endpoint, Partition};
use crate::environment::Service;
use crate::explain::Call;
use crate::failed_call::FailedCall;
use crate::keyring::Unlock;
use crate::platform;
use crate::profile::{self, ConfigFiles, Plan, ROLE_BOUNDS, ROLE_SECONDS, Serial};
use crate::sts::{CallError, Signer};
use crate::vault::{Role, SessionKey};

/// How long an MFA session lasts unless somebody says otherwise: STS's own default, in seconds.
const DEFAULT_SECONDS: u32 = 43_200;

/// A profile, worked out down to the session that it rests on.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub plan: Plan,
    pub files: Arc<ConfigFiles>,
    pub configuration: Arc<Configuration>,
    pub serial: String,
    pub root: SessionKey,
    pub sts: Endpoint,
    pub partition: Partition,
    /// Shells are told of it, and hold leases.
    pub leased: bool,
}

impl Sessions {
    /// Works out which session a request is about; looks the device up where no file names it.
    pub async fn resolve(&self, profile: Option<&str>) -> Result<Resolved, Refusal> {
        let configuration = self.configuration()?;
        let files = self.files().await?;
        let plan = profile::plan(&files, &self.meant(&files, profile)?)?;
        self.resolve_plan(configuration, files, plan, true).await
    }

    /// The same for what aws-mfa's options describe.
    pub async fn resolve_aws_mfa(&self, wanted: &AwsMfa) -> Result<Resolved, Refusal> {
        let configuration = self.configuration()?;
        let files = self.files().await?;
        let plan = profile::plan_aws_mfa(&files, wanted)?;
        self.resolve_plan(configuration, files, plan, false).await
    }

    /// Works out which session a plan comes down to.
    pub(super) async fn resolve_plan(
        &self,
        configuration: Arc<Configuration>,
        files: Arc<ConfigFiles>,
        plan: Plan,
        leased: bool,
    ) -> Result<Resolved, Refusal> {
        let serial = match self.known_serial(&plan) {
            Some(serial) => serial,
            None => self.find_serial(&files, &plan, partition(&plan, None)).await?,
        };
        let partition = partition(&plan, Some(&serial));
        let sts =
            Endpoint::new(&self.environment, Service::Sts, &plan.user.profile, &plan.user.target, partition)?;
        let root = self.root(&plan, serial.clone(), sts.foreign());
        Ok(Resolved { plan, files, configuration, serial, root, sts, partition, leased })
    }

    /// What shells are given with a profile beside its credentials, so that it can be taken back: known even where
    /// the profile cannot work any more.
    pub async fn given(&self, profile: &str) -> Result<Reply, Refusal> {
        let configuration = self.configuration()?;
        let variables = configuration.profile.get(profile).map(|own| own.env.clone()).unwrap_or_default();
        Ok(Reply::Given { region: profile::region(&*self.files().await?, profile), variables })
    }

    /// The profile that is meant: the named one, else the default one; a role that is named by its ARN alone is
    /// assumed from the default one.
    pub fn meant<'a>(&self, files: &ConfigFiles, profile: Option<&'a str>) -> Result<Cow<'a, str>, Refusal> {
        let Some(profile) = profile else { return self.default_profile(files).map(Cow::Owned) };
        match NamedRole::of(profile) {
            Some(NamedRole { source: None, arn }) => match self.default_profile(files) {
                Ok(source) => Ok(Cow::Owned(NamedRole::joined(&source, arn))),
                Err(Refusal::NoProfile) => Err(Refusal::NoSource { role_arn: arn.to_owned() }),
                Err(other) => Err(other),
            },
            _ => Ok(Cow::Borrowed(profile)),
        }
    }

    /// The profile where none is named: the configured one, else `default` where the files have it.
    pub fn default_profile(&self, files: &ConfigFiles) -> Result<String, Refusal> {
        let fallback = ["default", "default-long-term"].iter().any(|name| files.section(name).is_some());
        let configured = self.configuration()?.default_profile.clone();
        configured.or(fallback.then(|| "default".to_owned())).ok_or(Refusal::NoProfile)
    }

    /// As it is now, and obeyed from here on.
    pub(super) fn configuration(&self) -> Result<Arc<Configuration>, Refusal> {
        let file = self.own_config_file.as_deref();
        // Before the contents: a change in between is seen at the next look.
        let fingerprint = file.and_then(platform::fingerprint);
        if let Some((known, configuration)) = &self.state().configuration
            && *known == fingerprint
        {
            return Ok(configuration.clone());
        }
        let configuration = Arc::new(Configuration::read(file)?);
        self.obey(fingerprint, &configuration);
        Ok(configuration)
    }

    /// Asks IAM for the device of a key: the usual policy lets a user list its own without MFA.
    async fn find_serial(
        &self,
        files: &ConfigFiles,
        plan: &Plan,
        partition: Partition,
    ) -> Result<String, Refusal> {
        let inside = self.turnstile.enter(format!("device of {}", plan.user.key_id)).await;
        if let Some(serial) = self.known_serial(plan) {
            return Ok(serial);
        }
        let profile = &plan.profile;
        let endpoint =
            Endpoint::new(&self.environment, Service::Iam, &plan.user.profile, &plan.user.target, partition)?;
        let signer = Signer::from(self.open_key(files, &plan.user, Unlock::Never).await?);
        let call = IamCall::ListMfaDevices { user: None };
        let failed = inside.failed().and_then(|call| call.meets(&endpoint, &signer.access_key_id, None));
        let listed = match failed {
            Some(error) => Err(error),
            None => self.aws.iam(&endpoint, &signer, &call).await.inspect_err(|error| {
                inside.fail(FailedCall::without_code(&endpoint, &signer, None, error));
            }),
        };
        let devices = match listed {
            Ok(IamAnswer::MfaDevices(devices)) => devices,
            Ok(_) => return Err(Refusal::Internal),
            Err(CallError::Aws { code, message }) if code.starts_with("AccessDenied") => {
                return Err(Refusal::DevicesNotListed { profile: profile.clone(), message });
            }
            Err(error) => {
                let call = Call {
                    action: call.action(),
                    endpoint: endpoint.describe(Service::Iam),
                    code_of: None,
                    key: Some(&plan.user.origin),
                    role: None,
                    skew: self.aws.skew(),
                };
                return Err(call.explain(error));
            }
        };
        // STS takes no FIDO keys.
        let (fido, mut usable): (Vec<_>, Vec<_>) =
            devices.into_iter().map(|device| device.serial).partition(|serial| serial.contains(":u2f/"));
        match (usable.len(), fido.into_iter().next()) {
            (1, _) => {
                let serial = usable.remove(0);
                self.state().devices.insert(plan.user.key_id.clone(), serial.clone());
                Ok(serial)
            }
            (0, Some(serial)) => Err(Refusal::SerialIsFido { profile: profile.clone(), serial }),
            (0, None) => Err(Refusal::NoDevice { profile: profile.clone() }),
            _ => Err(Refusal::SeveralDevices { profile: profile.clone(), serials: usable }),
        }
    }

    /// The session that a code opens for a plan.
    pub(super) fn root(&self, plan: &Plan, serial: String, endpoint: Option<String>) -> SessionKey {
        let key_id = plan.user.key_id.clone();
        let key_id = self.state().successors.get(&key_id).cloned().unwrap_or(key_id);
        match plan.role_with_mfa() {
            Some(hop) => {
                let role = Role::new(hop, hop.duration.unwrap_or(ROLE_SECONDS));
                SessionKey::RoleWithMfa { key_id, serial, endpoint, role }
            }
            None => SessionKey::Mfa { key_id, serial, endpoint },
        }
    }

    /// The device of a plan, as far as it is known without asking.
    pub fn known_serial(&self, plan: &Plan) -> Option<String> {
        match &plan.serial {
            Serial::Configured(serial) => Some(serial.clone()),
            Serial::Unknown => self.state().devices.get(&plan.user.key_id).cloned(),
        }
    }
}

impl Resolved {
    /// The session whose credentials the profile gives out.
    pub fn last(&self) -> SessionKey {
        if self.plan.role_with_mfa().is_some() {
            return self.root.clone();
        }
        self.plan.hops.iter().fold(self.root.clone(), |source, hop| SessionKey::Role {
            source: Box::new(source),
            role: Role::new(hop, role_seconds(hop.duration)),
        })
    }

    /// How long the session that a code opens shall last: by word, by our own configuration, by the AWS
    /// files, by default; but for a word, no less than `at_least` where that can be.
    pub fn duration(&self, lasting: Lasting) -> Result<u32, Refusal> {
        let Lasting { duration: asked, at_least } = lasting;
        let role = self.plan.role_with_mfa();
        let bounds = self.bounds();
        let seconds = asked
            .or(role.and_then(|hop| hop.duration))
            .or_else(|| self.configuration.duration(&self.plan.profile))
            .or(self.plan.duration)
            .or(self.configuration.duration)
            .unwrap_or(DEFAULT_SECONDS);
        let at_least = at_least.filter(|_| asked.is_none()).unwrap_or(0).min(*bounds.end());
        let seconds = seconds.max(at_least);
        if bounds.contains(&seconds) {
            Ok(seconds)
        } else {
            Err(Refusal::DurationOutOfBounds { seconds, least: *bounds.start(), most: *bounds.end() })
        }
    }

    /// How long the credentials must last at least, in seconds, for somebody who wants them for `min_ttl`.
    pub fn needed(&self, min_ttl: Option<u32>) -> Result<u64, Refusal> {
        let Some(seconds) = min_ttl else { return Ok(0) };
        let chained = self.plan.hops.last().filter(|_| self.plan.role_with_mfa().is_none());
        let most = chained.map_or(*self.bounds().end(), |hop| role_seconds(hop.duration));
        if seconds > most {
            return Err(Refusal::LastsShorter { profile: self.plan.profile.clone(), seconds, most });
        }
        Ok(u64::from(seconds.saturating_sub(TTL_SLACK)))
    }

    /// What AWS takes for the duration of the session that a code opens.
    fn bounds(&self) -> RangeInclusive<u32> {
        if self.plan.role_with_mfa().is_some() { ROLE_BOUNDS } else { SESSION_SECONDS }
    }

    /// What to ask for it.
    pub fn question(&self, expired: bool) -> Question {
        Question {
            profile: self.plan.profile.clone(),
            serial: self.serial.clone(),
            role_arn: self.plan.role_with_mfa().map(|hop| hop.role_arn.clone()),
            endpoint: self.sts.foreign(),
            expired,
            mfa_process: None,
            seed: None,
        }
    }
}

/// The partition that a plan is for, as far as its device, roles and region tell.
pub fn partition(plan: &Plan, serial: Option<&str>) -> Partition {
    let roles = plan.hops.iter().map(|hop| hop.role_arn.as_str());
    let region = plan.user.target.region.as_deref();
    Partition::of(serial.into_iter().chain(roles).chain(region))
}

/// How long a role may last that is assumed from a session: an hour, whatever the profile asks for.
pub fn role_seconds(asked: Option<u32>) -> u32 {
    asked.unwrap_or(ROLE_SECONDS).min(ROLE_SECONDS)
}
