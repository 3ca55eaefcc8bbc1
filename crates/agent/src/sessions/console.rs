//! The way into the AWS console, from a role's session or, where a profile has no role, from `GetFederationToken`.

use std::sync::Arc;

use protocol::{Ask, AwsProblem, Console, Refusal};

use super::{Lasting, Opened, Sessions};
use crate::environment::Service;
use crate::explain::Call;
use crate::journal::Peer;
use crate::keyring::Unlock;
use crate::redirect;
use crate::sessions::resolve::Resolved;
use crate::sign_in::{self, SignIn, is_service};
use crate::sts::{CallError, Signer};

/// What `GetFederationToken` accepts as `DurationSeconds`.
const FEDERATION_SECONDS: std::ops::RangeInclusive<u64> = 900..=129_600;

/// What a federated user may do of what the user may: all of it. Without a policy it may do nothing.
const ALL_OF_IT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

impl Sessions {
    /// A link into the console, or an address on this machine that leads there once. As everything that is given out
    /// it rests on a session that a code opened, though AWS wants none for `GetFederationToken`.
    pub async fn console(
        self: &Arc<Self>,
        peer: &Peer,
        profile: Option<&str>,
        ask: Ask,
        service: Option<&str>,
        redirect: bool,
    ) -> Result<Opened<Console>, Refusal> {
        self.refuse_if_locked()?;
        if let Some(service) = service.filter(|service| !is_service(service)) {
            return Err(Refusal::Malformed { problem: format!("{service} is no service of the console's") });
        }
        let resolved = Resolved { leased: false, ..self.resolve(profile).await? };
        let profile = resolved.plan.profile.clone();
        let sign_in =
            SignIn::new(&self.environment, &profile, resolved.partition, resolved.sts.ca_bundle.clone())?;
        let held = match self.credentials_of(&resolved, peer, ask, None, 0, Lasting::default()).await? {
            Opened::YourTurn(question, claim) => return Ok(Opened::YourTurn(question, claim)),
            Opened::Ready(held) => held,
        };
        let signer = if resolved.plan.hops.is_empty() {
            self.federate(&resolved).await?
        } else {
            Signer {
                access_key_id: held.access_key_id,
                secret_access_key: held.secret_access_key,
                session_token: Some(held.session_token),
            }
        };
        let token = self.aws.sign_in_token(&sign_in, &signer).await.map_err(|error| {
            let call = Call { endpoint: sign_in.describe(), ..self.call("signin:getSigninToken", &resolved) };
            call.explain(error)
        })?;
        // Whoever came here before it was locked.
        self.refuse_if_locked()?;
        let link = sign_in.link(&token, service, resolved.plan.region.as_deref());
        let (url, opens_for) = if redirect {
            let unserved = |error: std::io::Error| Refusal::NoRedirect { problem: error.to_string() };
            (redirect::serve(self.clone(), &link).await.map_err(unserved)?, redirect::OPENS_FOR)
        } else {
            (link, sign_in::OPENS_FOR)
        };
        Ok(Opened::Ready(Console { profile, url, opens_for }))
    }

    /// A session of the user's own that the console takes: it does not take those of `GetSessionToken`. It ends with
    /// the session that a code opened, as far as AWS lets it be that short.
    async fn federate(&self, resolved: &Resolved) -> Result<Signer, Refusal> {
        let key = self.open_key(&resolved.files, &resolved.plan.user, Unlock::Ask).await?;
        let signer = Signer::from(key);
        let failed = |action, error| {
            let call = Call { key: Some(&resolved.plan.user.origin), ..self.call(action, resolved) };
            call.explain(error)
        };
        let user = self.aws.caller_identity(&resolved.sts, &signer).await;
        let user = user.map_err(|error| failed("sts:GetCallerIdentity", error))?;
        let left = self.left(&resolved.root).unwrap_or(0);
        let duration = left.clamp(*FEDERATION_SECONDS.start(), *FEDERATION_SECONDS.end());
        let duration = u32::try_from(duration).unwrap_or(u32::MAX);
        let issued = self
            .aws
            .get_federation_token(&resolved.sts, &signer, &federated_name(&user.arn), ALL_OF_IT, duration)
            .await;
        match issued {
            Ok(issued) => Ok(issued.signer),
            Err(CallError::Aws { code, message }) if code == "AccessDenied" => Err(Refusal::Aws {
                action: "sts:GetFederationToken".to_owned(),
                code,
                message,
                problem: AwsProblem::FederationDenied { profile: resolved.plan.profile.clone() },
            }),
            Err(error) => Err(failed("sts:GetFederationToken", error)),
        }
    }

    fn call(&self, action: &'static str, resolved: &Resolved) -> Call<'static> {
        Call {
            action,
            endpoint: resolved.sts.describe(Service::Sts),
            code_of: None,
            key: None,
            role: None,
            skew: self.aws.skew(),
        }
    }
}

/// The user's own name, as far as AWS takes it for a federated one: 2 to 32 characters.
fn federated_name(arn: &str) -> String {
    let name: String = arn.rsplit(['/', ':']).next().unwrap_or_default().chars().take(32).collect();
    if name.len() < 2 { format!("user-{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_federated_user_has_the_users_name_as_far_as_it_goes() {
        for (arn, name) in [
            ("arn:aws:iam::111122223333:user/team/alice", "alice"),
            ("arn:aws:iam::111122223333:user/a", "user-a"),
            ("arn:aws:iam::111122223333:root", "root"),
            (
                "arn:aws:iam::111122223333:user/a.very.long.name@of-some-company.example",
                "a.very.long.name@of-some-company",
            ),
        ] {
            assert_eq!(federated_name(arn), name);
        }
    }
}
