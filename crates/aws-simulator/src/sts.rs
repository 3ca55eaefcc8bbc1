//! The actions of STS.

use crate::action::Invocation;
use crate::answer::{Answer, Failure};
use crate::clock::{Seconds, iso};
use crate::validation::{
    EXTERNAL_ID, FEDERATED_NAME, POLICY_ARN, ROLE_ARN, SERIAL_NUMBER, SESSION_NAME, SOURCE_IDENTITY, TAG_KEY,
    TAG_VALUE, TOKEN_CODE, Validation,
};
use crate::world::{Identity, Inherited, Issued, UserName};
use crate::xml::{element, leaf};

/// Role sessions asked for with temporary credentials, a user's session included.
const CHAINED_SECONDS: i64 = 3_600;

#[expect(clippy::unnecessary_wraps, reason = "every action has the same signature")]
pub(crate) fn get_caller_identity(invocation: &mut Invocation) -> Answer {
    let (world, identity) = (&invocation.world, &invocation.caller.identity);
    let (arn, id, account) = (world.arn(identity), world.id(identity), world.account(identity));
    Ok(leaf("Arn", &arn) + &leaf("UserId", &id) + &leaf("Account", &account))
}

pub(crate) fn get_session_token(invocation: &mut Invocation) -> Answer {
    let user = long_term_user(invocation, "GetSessionToken")?;
    let mut validation = Validation::of(invocation.parameters);
    let duration = validation.duration(900..=129_600, 43_200);
    let factor = SecondFactor::of(&mut validation);
    validation.finish()?;
    invocation.authorize("sts:GetSessionToken", "*")?;
    let mfa = factor.spend(invocation)?;
    let expires_at = invocation.now + duration;
    let issued = invocation.world.begin_session(Identity::User(user), mfa, expires_at);
    Ok(credentials(&issued, expires_at))
}

pub(crate) fn get_federation_token(invocation: &mut Invocation) -> Answer {
    let user = long_term_user(invocation, "GetFederationToken")?;
    let mut validation = Validation::of(invocation.parameters);
    let name = validation.required("Name", &FEDERATED_NAME);
    let duration = validation.duration(900..=129_600, 43_200);
    validation.finish()?;
    let with_policy = invocation.parameters.get("Policy").is_some();
    let identity = Identity::Federated { account: user.account, name: name.to_owned(), with_policy };
    let (arn, id) = (invocation.world.arn(&identity), invocation.world.id(&identity));
    invocation.authorize("sts:GetFederationToken", &arn)?;
    let expires_at = invocation.now + duration;
    let issued = invocation.world.begin_session(identity, false, expires_at);
    let user = element("FederatedUser", &(leaf("FederatedUserId", &id) + &leaf("Arn", &arn)));
    Ok(credentials(&issued, expires_at) + &user)
}

pub(crate) fn assume_role(invocation: &mut Invocation) -> Answer {
    let mut validation = Validation::of(invocation.parameters);
    let arn = validation.required("RoleArn", &ROLE_ARN);
    let session_name = validation.required("RoleSessionName", &SESSION_NAME);
    let duration = validation.duration(900..=43_200, 3_600);
    let external_id = validation.optional("ExternalId", &EXTERNAL_ID);
    let context = Context::of(&mut validation);
    let factor = SecondFactor::of(&mut validation);
    validation.finish()?;
    context.check()?;
    if !arn.starts_with("arn:") {
        return Err(Failure::validation(format!("{arn} is invalid")));
    }
    if invocation.caller.temporary && duration > CHAINED_SECONDS {
        return Err(Failure::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    // A code that was right is used up even if the role is refused afterwards.
    invocation.caller.mfa |= factor.spend(invocation)?;
    invocation.authorize("sts:AssumeRole", arn)?;
    let caller = &invocation.caller;
    let role = invocation.world.roles.get(arn).map(|record| &record.role);
    let trusting = role.filter(|role| role.trusts(&caller.identity, caller.mfa, external_id));
    let role =
        trusting.ok_or_else(|| Failure::access_denied(invocation.not_authorized("sts:AssumeRole", arn)))?;
    if duration > i64::from(role.max_session_seconds) {
        return Err(Failure::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if !context.is_empty() && !role.takes_context {
        let action = if context.tags.is_empty() { "sts:SetSourceIdentity" } else { "sts:TagSession" };
        return Err(Failure::access_denied(invocation.not_authorized(action, arn)));
    }
    let inherited = context.handed_on(invocation, arn)?;
    let identity = Identity::Role { arn: arn.to_owned(), session_name: session_name.to_owned(), inherited };
    let (session_arn, id) = (invocation.world.arn(&identity), invocation.world.id(&identity));
    let expires_at = invocation.now + duration;
    // MFA does not reach beyond the role: a second hop comes without.
    let issued = invocation.world.begin_session(identity, false, expires_at);
    let user = element("AssumedRoleUser", &(leaf("AssumedRoleId", &id) + &leaf("Arn", &session_arn)));
    Ok(credentials(&issued, expires_at) + &user)
}

/// Session tags and source identity. The texts of the refusals are from memory.
struct Context<'a> {
    tags: Vec<(&'a str, &'a str)>,
    transitive: Vec<&'a str>,
    source_identity: Option<&'a str>,
}

impl<'a> Context<'a> {
    fn of(validation: &mut Validation<'a>) -> Context<'a> {
        let keys = validation.list("Tags", ".Key", &TAG_KEY, 50);
        let values = validation.list("Tags", ".Value", &TAG_VALUE, 50);
        validation.list("PolicyArns", ".arn", &POLICY_ARN, 10);
        Context {
            tags: keys.into_iter().zip(values).collect(),
            transitive: validation.list("TransitiveTagKeys", "", &TAG_KEY, 50),
            source_identity: validation.optional("SourceIdentity", &SOURCE_IDENTITY),
        }
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.source_identity.is_none()
    }

    fn check(&self) -> Result<(), Failure> {
        let mut keys: Vec<String> = self.tags.iter().map(|(key, _)| key.to_lowercase()).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Failure::validation(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        match self.transitive.iter().find(|key| !self.tags.iter().any(|(tag, _)| tag == *key)) {
            Some(key) => Err(Failure::validation(format!("Transitive tag key {key} is no session tag."))),
            None => Ok(()),
        }
    }

    /// What the session hands on, with what the caller's own was handed.
    fn handed_on(&self, invocation: &Invocation, arn: &str) -> Result<Inherited, Failure> {
        let mut inherited = match &invocation.caller.identity {
            Identity::Role { inherited, .. } => inherited.clone(),
            _ => Inherited::default(),
        };
        if let (Some(own), Some(inherited)) = (self.source_identity, &inherited.source_identity)
            && own != inherited
        {
            return Err(Failure::access_denied(invocation.not_authorized("sts:SetSourceIdentity", arn)));
        }
        if let Some((key, _)) = self.tags.iter().find(|(key, _)| inherited.transitive_tags.contains_key(*key))
        {
            return Err(Failure::validation(format!("Tag {key} is transitive and cannot be set again.")));
        }
        if let Some(identity) = self.source_identity {
            inherited.source_identity = Some(identity.to_owned());
        }
        for (key, value) in self.tags.iter().filter(|(key, _)| self.transitive.contains(key)) {
            inherited.transitive_tags.insert((*key).to_owned(), (*value).to_owned());
        }
        Ok(inherited)
    }
}

/// The caller, if it is a user with a long-term key.
fn long_term_user(invocation: &Invocation, action: &str) -> Result<UserName, Failure> {
    match &invocation.caller.identity {
        Identity::User(user) if !invocation.caller.temporary => Ok(user.clone()),
        _ => Err(Failure::access_denied(format!("Cannot call {action} with session credentials"))),
    }
}

/// The serial number and code of a request.
struct SecondFactor<'a> {
    serial: Option<&'a str>,
    code: Option<&'a str>,
}

impl<'a> SecondFactor<'a> {
    fn of(validation: &mut Validation<'a>) -> SecondFactor<'a> {
        let serial = validation.optional("SerialNumber", &SERIAL_NUMBER);
        SecondFactor { serial, code: validation.optional("TokenCode", &TOKEN_CODE) }
    }

    /// Uses the code up; false if the request has none.
    fn spend(&self, invocation: &mut Invocation) -> Result<bool, Failure> {
        let (serial, code) = match (self.serial, self.code) {
            (None, None) => return Ok(false),
            (Some(serial), Some(code)) => (serial, code),
            _ => return Err(Failure::half_a_second_factor()),
        };
        let Identity::User(user) = &invocation.caller.identity else { return Err(Failure::wrong_serial()) };
        invocation.world.spend_code(user, serial, code, invocation.now)?;
        Ok(true)
    }
}

fn credentials(issued: &Issued, expires_at: Seconds) -> String {
    let inner = leaf("AccessKeyId", &issued.access_key_id)
        + &leaf("SecretAccessKey", &issued.secret_access_key)
        + &leaf("SessionToken", &issued.session_token)
        + &leaf("Expiration", &iso(expires_at));
    element("Credentials", &inner)
}
