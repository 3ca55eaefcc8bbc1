//! From a request to its answer: which action, who is calling, what comes of it.

use crate::answer::{Answer, Failure};
use crate::clock::Seconds;
use crate::policy::{self, Decision, Question};
use crate::request::{Parameters, Request};
use crate::signature::{self, Authorization};
use crate::world::{Caller, CredentialKind, Identity, UserName, World};
use crate::{iam, s3, sts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Sts,
    Iam,
    S3,
}

impl Service {
    /// The name in a credential scope.
    fn name(self) -> &'static str {
        match self {
            Service::Sts => "sts",
            Service::Iam => "iam",
            Service::S3 => "s3",
        }
    }

    /// The version that a request must name, in the Query protocol.
    fn version(self) -> Option<&'static str> {
        match self {
            Service::Sts => Some("2011-06-15"),
            Service::Iam => Some("2010-05-08"),
            Service::S3 => None,
        }
    }

    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Service::S3 => "http://s3.amazonaws.com/doc/2006-03-01/",
        }
    }
}

/// All that an action works on.
pub(crate) struct Invocation<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) caller: Caller,
    pub(crate) parameters: &'a Parameters,
    pub(crate) now: Seconds,
}

type Handler = fn(&mut Invocation) -> Answer;

/// The actions there are: an arm here and a function in `sts` or below `iam` each.
fn operation(action: &str) -> Option<(Service, Handler)> {
    let operation: (Service, Handler) = match action {
        "AssumeRole" => (Service::Sts, sts::assume_role),
        "CreateVirtualMFADevice" => (Service::Iam, iam::devices::create),
        "DeactivateMFADevice" => (Service::Iam, iam::devices::deactivate),
        "DeleteVirtualMFADevice" => (Service::Iam, iam::devices::delete),
        "EnableMFADevice" => (Service::Iam, iam::devices::enable),
        "GetCallerIdentity" => (Service::Sts, sts::get_caller_identity),
        "GetFederationToken" => (Service::Sts, sts::get_federation_token),
        "GetSessionToken" => (Service::Sts, sts::get_session_token),
        "GetUser" => (Service::Iam, iam::get_user),
        "CreateAccessKey" => (Service::Iam, iam::keys::create),
        "DeleteAccessKey" => (Service::Iam, iam::keys::delete),
        "GetAccessKeyLastUsed" => (Service::Iam, iam::keys::last_used),
        "UpdateAccessKey" => (Service::Iam, iam::keys::update),
        "ListBuckets" => (Service::S3, s3::list_buckets),
        "ListAccountAliases" => (Service::Iam, iam::account::list_aliases),
        "ListAccessKeys" => (Service::Iam, iam::keys::list),
        "ListMFADevices" => (Service::Iam, iam::devices::list),
        "DeleteGroupPolicy" => (Service::Iam, iam::policies::delete_group_policy),
        "DeleteUserPolicy" => (Service::Iam, iam::policies::delete_user_policy),
        "GetGroup" => (Service::Iam, iam::policies::get_group),
        "GetGroupPolicy" => (Service::Iam, iam::policies::get_group_policy),
        "GetPolicy" => (Service::Iam, iam::policies::get_policy),
        "GetPolicyVersion" => (Service::Iam, iam::policies::get_policy_version),
        "GetUserPolicy" => (Service::Iam, iam::policies::get_user_policy),
        "ListAttachedGroupPolicies" => (Service::Iam, iam::policies::list_attached_group_policies),
        "ListAttachedUserPolicies" => (Service::Iam, iam::policies::list_attached_user_policies),
        "ListGroupPolicies" => (Service::Iam, iam::policies::list_group_policies),
        "ListGroupsForUser" => (Service::Iam, iam::policies::list_groups_for_user),
        "ListUserPolicies" => (Service::Iam, iam::policies::list_user_policies),
        "ListUsers" => (Service::Iam, iam::policies::list_users),
        "PutGroupPolicy" => (Service::Iam, iam::policies::put_group_policy),
        "PutUserPolicy" => (Service::Iam, iam::policies::put_user_policy),
        "ListVirtualMFADevices" => (Service::Iam, iam::devices::list_virtual),
        "ResyncMFADevice" => (Service::Iam, iam::devices::resync),
        _ => return None,
    };
    Some(operation)
}

/// The service whose error document an answer to this action is.
pub(crate) fn service_of(action: &str) -> Service {
    operation(action).map_or(Service::Sts, |(service, _)| service)
}

/// Carries out a request.
pub(crate) fn perform(world: &mut World, request: &Request, now: Seconds) -> Answer {
    let action = request.action();
    if action.is_empty() {
        let message = "The request must contain the parameter Action.";
        return Err(Failure::new(400, "MissingAction", message));
    }
    let version = request.parameters.get("Version").unwrap_or("NO_VERSION_SPECIFIED");
    let of_version = |service: Service| service.version().is_none_or(|needed| needed == version);
    let (service, handler) =
        operation(action).filter(|(service, _)| of_version(*service)).ok_or_else(|| {
            let message = format!("Could not find operation {action} for version {version}");
            Failure::new(400, "InvalidAction", message)
        })?;
    let caller = authenticate(world, request, service, now)?;
    // IAM takes a user's session only if it began with MFA, and a federated one never.
    let refused_by_iam = match caller.identity {
        Identity::User(_) => caller.temporary && !caller.mfa,
        Identity::Federated { .. } => true,
        Identity::Role { .. } => false,
    };
    if service == Service::Iam && refused_by_iam {
        return Err(Failure::invalid_token());
    }
    handler(&mut Invocation { world, caller, parameters: &request.parameters, now })
}

/// Whose key or session signed the request?
fn authenticate(
    world: &mut World,
    request: &Request,
    service: Service,
    now: Seconds,
) -> Result<Caller, Failure> {
    let authorization = Authorization::of(request)?;
    let credential =
        world.credentials.get_mut(&authorization.access_key_id).ok_or_else(Failure::invalid_token)?;
    let offered_token = request.header("x-amz-security-token");
    let caller = match &mut credential.kind {
        CredentialKind::LongTerm { user, active, unknown_for, .. } => {
            if *unknown_for > 0 {
                *unknown_for -= 1;
                return Err(Failure::invalid_token());
            }
            if !*active || offered_token.is_some() {
                return Err(Failure::invalid_token());
            }
            Caller { identity: Identity::User(user.clone()), temporary: false, mfa: false }
        }
        CredentialKind::Session { token, expires_at, identity, mfa } => {
            if offered_token != Some(token.as_str()) {
                return Err(Failure::invalid_token());
            }
            if *expires_at <= now {
                return Err(Failure::expired_token());
            }
            Caller { identity: identity.clone(), temporary: true, mfa: *mfa }
        }
    };
    signature::check(request, &authorization, &credential.secret, service.name(), now)?;
    if let CredentialKind::LongTerm { last_used, .. } = &mut credential.kind {
        *last_used = Some((now, service.name().to_owned()));
    }
    Ok(caller)
}

/// What users may do without MFA under the usual policy that denies the rest.
const WITHOUT_MFA: [&str; 9] = [
    "sts:GetSessionToken",
    "sts:GetCallerIdentity",
    "iam:ListMFADevices",
    "iam:ListVirtualMFADevices",
    "iam:GetUser",
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:ResyncMFADevice",
    "iam:ChangePassword",
];

/// The policy of [`User::must_use_mfa`](crate::User::must_use_mfa).
pub(crate) fn must_use_mfa() -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": {
            "Sid": "DenyAllExceptListedIfNoMFA",
            "Effect": "Deny",
            "NotAction": WITHOUT_MFA,
            "Resource": "*",
            "Condition": { "BoolIfExists": { "aws:MultiFactorAuthPresent": "false" } }
        }
    })
    .to_string()
}

impl Invocation<'_> {
    /// May the caller do this, by the policies on itself? `permission` is written `iam:GetUser`, and the resource as
    /// AWS names it in a refusal: an ARN, or `user alice`.
    pub(crate) fn authorize(&self, permission: &str, resource: &str) -> Result<(), Failure> {
        let Identity::User(user) = &self.caller.identity else { return Ok(()) };
        let denied = self.world.users.get(user).is_some_and(|record| record.denied.contains(permission));
        let arn = match resource.split_once(' ') {
            Some((kind, name)) => format!("arn:aws:iam::{}:{kind}/{name}", user.account),
            None => resource.to_owned(),
        };
        // A long-term key has no word on MFA, unless the call itself brought a code.
        let mfa = (self.caller.temporary || self.caller.mfa).then_some(self.caller.mfa);
        let question = Question { action: permission, resource: &arn, user: &user.name, mfa };
        let decision = policy::decide(self.world.policies_of(user), question);
        let (decided_by, refused) = match decision {
            _ if denied => (Some("deny".to_owned()), true),
            Decision::Denied(by) => (Some(by), true),
            Decision::Allowed(by) => (Some(by), false),
            // Whoever has a key may ask for a session with it.
            Decision::NotAllowed => (None, permission != "sts:GetSessionToken"),
        };
        let reason = if decided_by.is_some() {
            "with an explicit deny in an identity-based policy".to_owned()
        } else {
            format!("because no identity-based policy allows the {permission} action")
        };
        self.world.decided_by.replace(decided_by);
        if refused {
            let what = self.not_authorized(permission, resource);
            return Err(Failure::access_denied(format!("{what} {reason}")));
        }
        Ok(())
    }

    /// The text of a refusal without a named policy.
    pub(crate) fn not_authorized(&self, permission: &str, resource: &str) -> String {
        let arn = self.world.arn(&self.caller.identity);
        format!("User: {arn} is not authorized to perform: {permission} on resource: {resource}")
    }

    /// The user an IAM action is about: the one it names, else the caller.
    pub(crate) fn subject(&self) -> Result<UserName, Failure> {
        match (self.parameters.get("UserName"), &self.caller.identity) {
            (None, Identity::User(user)) => Ok(user.clone()),
            (None, _) => {
                Err(Failure::validation("Must specify userName when calling with non-User credentials"))
            }
            (Some(name), identity) => {
                Ok(UserName { account: self.world.account(identity), name: name.to_owned() })
            }
        }
    }
}
