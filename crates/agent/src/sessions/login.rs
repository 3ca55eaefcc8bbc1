//! From a code to a session: one call that carries it, and what becomes of the code.

use std::pin::pin;

use protocol::{Refusal, Secret, Session};

use super::resolve::Resolved;
use super::{From, Lasting, Sessions};
use crate::clock::Now;
use crate::codes;
use crate::environment::Service;
use crate::explain::{Call, code_is_spent};
use crate::failed_call::FailedCall;
use crate::keyring::Unlock;
use crate::sts::{CallError, Mfa, Signer};

impl Sessions {
    /// Opens a session with a code. While locked, that is what unlocks.
    pub async fn login(
        &self,
        profile: Option<&str>,
        code: &Secret,
        lasting: Lasting,
    ) -> Result<Session, Refusal> {
        self.login_with(profile, code, lasting, From::Person).await
    }

    pub(super) async fn login_with(
        &self,
        profile: Option<&str>,
        code: &Secret,
        lasting: Lasting,
        from: From,
    ) -> Result<Session, Refusal> {
        let resolved = self.resolve(profile).await?;
        self.login_to(&resolved, code, lasting, from).await
    }

    pub(super) async fn login_to(
        &self,
        resolved: &Resolved,
        code: &Secret,
        lasting: Lasting,
        from: From,
    ) -> Result<Session, Refusal> {
        if !codes::is_code(code) {
            return Err(Refusal::MalformedCode);
        }
        let duration = resolved.duration(lasting)?;
        // One login at a time for a session: who comes second with the same code finds it used, not unknown.
        let inside = self.turnstile.enter(format!("{:?}", resolved.root)).await;
        let proof = match from {
            From::Person => self.proof(resolved)?,
            From::Program => {
                self.refuse_if_locked()?;
                None
            }
        };
        let unlock = if from == From::Person { Unlock::Ask } else { Unlock::Never };
        let key = self.open_key(&resolved.files, &resolved.plan.user, unlock).await?;
        if key.id != resolved.plan.user.key_id {
            // The file changed between two looks at it.
            self.state().files = None;
            return Err(Refusal::Unparseable {
                file: resolved.plan.user.origin.file.clone(),
                line: None,
                problem: "it changed while it was read; try again".to_owned(),
            });
        }
        let signer = Signer::from(key);
        let serial = resolved.serial.as_str();
        let skew = self.aws.skew().unwrap_or(0);
        let mark = self.sealer.mark(serial, code);
        let failed = inside
            .failed()
            .and_then(|call| call.meets_code(&resolved.sts, &signer.access_key_id, mark, duration));
        if let Some(error) = failed {
            return Err(self.login_call(resolved, duration).explain(error));
        }
        self.state()
            .codes
            .send(mark, Now::read(), skew)
            .map_err(|wait_seconds| Refusal::UsedCode { serial: serial.to_owned(), wait_seconds })?;

        let mfa = Mfa { serial, code };
        let role = resolved.plan.role_with_mfa();
        let _under_way = UnderWay::new(self);
        let forgets = self.state().forgets;
        let issued = match role {
            None => self.aws.get_session_token(&resolved.sts, &signer, mfa, duration).await,
            Some(hop) => self.aws.assume_role(&resolved.sts, &signer, hop, duration, Some(mfa)).await,
        };
        let issued = issued.map_err(|error| {
            if !code_is_spent(&error, role.is_some()) {
                self.state().codes.unused(mark);
            }
            if matches!(error, CallError::Aws { .. }) {
                // The device may have been replaced: IAM is asked again.
                self.state().devices.remove(&resolved.plan.user.key_id);
            }
            let failed = FailedCall::with_code(&resolved.sts, &signer, mark, duration, &error);
            self.questions.fail(&resolved.root, failed.clone());
            inside.fail(failed);
            let refusal = self.login_call(resolved, duration).explain(error);
            if proof.is_some() && matches!(refusal, Refusal::WrongCode { .. }) {
                self.state().lock.wrong_code(Now::read());
            }
            refusal
        })?;
        self.keep(&resolved.root, resolved, issued, duration, forgets);
        if let Some(lock) = proof {
            self.proved(lock);
        }
        let mut session = self.describe(resolved)?;
        session.reused = false;
        Ok(session)
    }

    /// The call that opens a session for so many seconds.
    pub(super) fn login_call<'a>(&self, resolved: &'a Resolved, duration: u32) -> Call<'a> {
        let role = resolved.plan.role_with_mfa();
        Call {
            action: if role.is_some() { "sts:AssumeRole" } else { "sts:GetSessionToken" },
            endpoint: resolved.sts.describe(Service::Sts),
            code_of: Some(&resolved.serial),
            key: Some(&resolved.plan.user.origin),
            role: role.map(|hop| (hop, duration)),
            skew: self.aws.skew(),
        }
    }

    /// Resolves when no code is on its way to AWS.
    pub async fn logins_done(&self) {
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            if self.state().logins == 0 {
                return;
            }
            change.await;
        }
    }
}

/// A login whose code is out.
struct UnderWay<'a>(&'a Sessions);

impl<'a> UnderWay<'a> {
    fn new(sessions: &'a Sessions) -> Self {
        sessions.state().logins += 1;
        Self(sessions)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().logins -= 1;
        self.0.questions.changed();
    }
}
