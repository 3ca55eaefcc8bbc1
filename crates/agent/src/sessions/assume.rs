//! The roles of a profile, from the session that a code opened outwards.

use protocol::Refusal;

use super::resolve::{Resolved, role_seconds};
use super::{Sessions, margin};
use crate::endpoint::Endpoint;
use crate::environment::Service;
use crate::explain::Call;
use crate::failed_call::FailedCall;
use crate::vault::{Role, SessionKey};

impl Sessions {
    /// Assumes the roles of a profile that are not held, or not for long enough, from the user outwards. The last
    /// one shall last at least so many seconds.
    pub(super) async fn assume_roles(&self, resolved: &Resolved, needed: u64) -> Result<(), Refusal> {
        if resolved.plan.role_with_mfa().is_some() {
            return Ok(());
        }
        let last = resolved.last();
        let mut source = resolved.root.clone();
        for hop in &resolved.plan.hops {
            let duration = role_seconds(hop.duration);
            let key = SessionKey::Role { source: Box::new(source.clone()), role: Role::new(hop, duration) };
            let needed = if key == last { needed } else { 0 };
            let inside = self.turnstile.enter(format!("{key:?}")).await;
            if self.left(&key).is_none_or(|left| left <= margin(&key) || left < needed) {
                let forgets = self.state().forgets;
                let signer = self.signer(&source, &resolved.plan.profile);
                let endpoint = Endpoint {
                    region: hop.region.clone().unwrap_or(resolved.sts.region.clone()),
                    ..resolved.sts.clone()
                };
                let Some(signer) = signer else { return Err(Refusal::NeedsMfa(resolved.question(true))) };
                let failed = inside
                    .failed()
                    .and_then(|call| call.meets(&endpoint, &signer.access_key_id, Some(duration)));
                let assumed = if let Some(error) = failed {
                    Err(error)
                } else {
                    let assumed = self.aws.assume_role(&endpoint, &signer, hop, duration, None).await;
                    assumed.inspect_err(|error| {
                        inside.fail(FailedCall::without_code(&endpoint, &signer, Some(duration), error));
                    })
                };
                match assumed {
                    Ok(issued) => self.keep(&key, resolved, issued, duration, forgets),
                    // What is left of the old one is better than nothing.
                    Err(_) if self.left(&key).is_some_and(|left| left >= needed) => {}
                    Err(error) => {
                        let call = Call {
                            action: "sts:AssumeRole",
                            endpoint: endpoint.describe(Service::Sts),
                            code_of: None,
                            key: None,
                            role: Some((hop, duration)),
                            skew: self.aws.skew(),
                        };
                        return Err(call.explain(error));
                    }
                }
            }
            source = key;
        }
        Ok(())
    }
}
