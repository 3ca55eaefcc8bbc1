//! Calls of IAM's that a client asks for: from a profile and what shall sign to the call.

use std::sync::Arc;

use protocol::{Ask, IamAnswer, IamCall, KeyOrigin, Refusal, Secret, Signed};

use super::resolve::{Resolved, partition};
use super::{Lasting, Opened, Sessions, Wanted};
use crate::clock::Now;
use crate::codes;
use crate::endpoint::{Endpoint, Partition};
use crate::environment::Service;
use crate::explain::Call;
use crate::journal::Peer;
use crate::keyring::Unlock;
use crate::profile::{self, Target, User};
use crate::sts::Signer;
use crate::vault::SessionKey;

/// All that a call needs.
struct Ready {
    signer: Signer,
    /// The session that signs.
    session: Option<SessionKey>,
    /// Where the key is that signs, if it is one of a file.
    origin: Option<KeyOrigin>,
    /// The profile whose settings hold, and the settings.
    profile: String,
    target: Target,
    partition: Partition,
}

impl Sessions {
    /// Makes a call, and says with which profile's key. Where it is to be signed by a session, that is opened as for
    /// credentials. `for_good` is told before a call that changes something: it must not be cut off from there on, or a
    /// key that AWS made is lost.
    pub async fn iam(
        self: &Arc<Self>,
        peer: &Peer,
        profile: Option<&str>,
        call: &IamCall,
        signed: &Signed,
        ask: Ask,
        for_good: impl FnOnce(),
    ) -> Result<Opened<(String, IamAnswer)>, Refusal> {
        self.refuse_if_locked()?;
        let ready = match signed {
            Signed::LongTerm => self.with_long_term_key(profile).await?,
            Signed::Session => match self.with_session(peer, profile, ask).await? {
                Opened::Ready(ready) => ready,
                Opened::YourTurn(question, claim) => return Ok(Opened::YourTurn(question, claim)),
            },
            Signed::Key { access_key_id, secret_access_key } => {
                self.with_key(profile, access_key_id, secret_access_key).await?
            }
        };
        // Whoever came here before it was locked.
        self.refuse_if_locked()?;
        let service = match call {
            IamCall::GetCallerIdentity => Service::Sts,
            _ => Service::Iam,
        };
        let Ready { signer: key, session, origin, profile, target, partition } = ready;
        let endpoint = Endpoint::new(&self.environment, service, &profile, &target, partition)?;
        if let IamCall::EnableMfaDevice { codes, .. } | IamCall::ResyncMfaDevice { codes, .. } = call
            && !codes.iter().all(codes::is_code)
        {
            return Err(Refusal::MalformedCode);
        }
        if !call.only_looks() {
            for_good();
        }
        let answer = self.aws.iam(&endpoint, &key, call).await.map_err(|error| {
            let call = Call {
                action: call.action(),
                endpoint: endpoint.describe(service),
                code_of: None,
                key: origin.as_ref(),
                role: None,
                skew: self.aws.skew(),
            };
            call.explain(error)
        })?;
        self.note(call);
        if let (IamAnswer::NewAccessKey(new), Some(SessionKey::Mfa { key_id, .. })) = (&answer, session) {
            // The same user's: a session that the one opened is as good for the other.
            self.state().successors.insert(new.id.clone(), key_id);
        }
        Ok(Opened::Ready((profile, answer)))
    }

    /// What a call that was made changes in what is known.
    fn note(&self, call: &IamCall) {
        match call {
            IamCall::EnableMfaDevice { serial, codes, .. }
            | IamCall::ResyncMfaDevice { serial, codes, .. } => {
                let skew = self.aws.skew().unwrap_or(0);
                let mut state = self.state();
                state.devices.clear();
                for code in codes {
                    // AWS took them, and takes none again.
                    let _ = state.codes.send(self.sealer.mark(serial, code), Now::read(), skew);
                }
            }
            IamCall::DeactivateMfaDevice { .. } => self.state().devices.clear(),
            _ => {}
        }
    }

    async fn with_long_term_key(&self, profile: Option<&str>) -> Result<Ready, Refusal> {
        let files = self.files().await?;
        let plan = profile::plan_without_device(&files, &self.meant(&files, profile)?)?;
        let signer = Signer::from(self.open_key(&files, &plan.user, Unlock::Ask).await?);
        let partition = partition(&plan, self.known_serial(&plan).as_deref());
        let User { profile, target, origin, .. } = plan.user;
        Ok(Ready { signer, session: None, origin: Some(origin), profile, target, partition })
    }

    /// A session of the user's own, and none of a role.
    async fn with_session(
        self: &Arc<Self>,
        peer: &Peer,
        profile: Option<&str>,
        ask: Ask,
    ) -> Result<Opened<Ready>, Refusal> {
        let mut resolved = self.resolve(profile).await?;
        if resolved.plan.role_with_mfa().is_some() {
            let user = resolved.plan.user.profile.clone();
            resolved = self.resolve(Some(&user)).await?;
        }
        match self.open(&resolved, ask, Wanted::After(0), Lasting::default()).await? {
            Opened::YourTurn(question, claim) => return Ok(Opened::YourTurn(question, claim)),
            Opened::Ready(()) => {}
        }
        self.confirm(&resolved.plan.profile, peer).await?;
        let signer = self.signer(&resolved.root, &resolved.plan.profile);
        let signer = signer.ok_or_else(|| Refusal::NeedsMfa(resolved.question(true)))?;
        let Resolved { plan, partition, root, .. } = resolved;
        let User { profile, target, .. } = plan.user;
        Ok(Opened::Ready(Ready { signer, session: Some(root), origin: None, profile, target, partition }))
    }

    /// A key that no file has: the profile's settings count, if there is one.
    async fn with_key(
        &self,
        profile: Option<&str>,
        access_key_id: &str,
        secret_access_key: &Secret,
    ) -> Result<Ready, Refusal> {
        let signer = Signer {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.clone(),
            session_token: None,
        };
        let files = self.files().await?;
        let profile = profile.unwrap_or("default").to_owned();
        let target = profile::target(&files, &profile)?;
        let partition = Partition::of(target.region.as_deref());
        Ok(Ready { signer, session: None, origin: None, profile, target, partition })
    }
}
