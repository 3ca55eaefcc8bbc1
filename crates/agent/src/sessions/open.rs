//! The line before a session: it is there, or it is this client's turn to ask, or another one is asked.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::{Ask, Refusal};
use tokio::time::Instant;

use super::resolve::Resolved;
use super::{Claim, Lasting, Opened, Sessions, Wanted};
use crate::clock::Now;
use crate::questions::Turn;
use crate::vault::SessionKey;

/// How long a client may wait for what another one is asked. Longer than any prompt stays open.
const WAIT_LIMIT: Duration = Duration::from_mins(15);

impl Sessions {
    /// Resolves when the session that somebody was asked for is there, from wherever.
    pub async fn answered(&self, claim: &Claim) {
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            let there = self.is_there(&claim.root, claim.wanted);
            if !matches!(there, Ok(false)) || claim.place.turn() != Turn::Ask {
                return;
            }
            change.await;
        }
    }

    /// Whether somebody has what is wanted.
    pub(super) fn is_there(&self, root: &SessionKey, wanted: Wanted) -> Result<bool, Refusal> {
        match wanted {
            Wanted::Unlocked => Ok(!self.is_locked()),
            Wanted::After(number) => self.refuse_if_locked().map(|()| self.number(root) > number),
        }
    }

    /// Waits until the session that all rests on is there, or until it is this client's turn to ask for it.
    pub(super) async fn open(
        self: &Arc<Self>,
        resolved: &Resolved,
        ask: Ask,
        wanted: Wanted,
        lasting: Lasting,
    ) -> Result<Opened<()>, Refusal> {
        let question = || resolved.question(self.state().vault.has_expired(&resolved.root));
        if self.is_there(&resolved.root, wanted)? {
            self.state().uses.note(&resolved.root, Now::read());
            return Ok(Opened::Ready(()));
        }
        if matches!(ask, Ask::AtHand | Ask::Never) {
            return Err(Refusal::NeedsMfa(question()));
        }
        let place = self.questions.join(&resolved.root, ask);
        if ask == Ask::Person {
            // The person came back to it.
            self.state().put_off.remove(&resolved.root);
        }
        let mut limit = pin!(tokio::time::sleep(WAIT_LIMIT));
        let mut started_process = false;
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            if self.is_there(&resolved.root, wanted)? {
                return Ok(Opened::Ready(()));
            }
            if let Some(call) = place.failed() {
                let duration = resolved.duration(lasting)?;
                if let Some(error) = call.meets(&resolved.sts, &resolved.plan.user.key_id, Some(duration)) {
                    return Err(self.login_call(resolved, duration).explain(error));
                }
            }
            started_process |= self.start_source(resolved, ask, wanted, lasting);
            let failure = match place.refusal() {
                None if matches!(wanted, Wanted::After(_)) => self.no_code(resolved),
                None => None,
                Some(refusal @ (Refusal::MfaProcess(_) | Refusal::Seed(_))) => Some(refusal),
                // AWS said no to a good code, or nothing at all: a person's code would get the same.
                Some(refusal) => return Err(refusal),
            };
            let mut question = question();
            match &failure {
                Some(Refusal::MfaProcess(failure)) => question.mfa_process = Some(failure.clone()),
                Some(Refusal::Seed(failure)) => question.seed = Some(Box::new(failure.clone())),
                _ => {}
            }
            match place.turn() {
                Turn::Ask => {
                    // Before the question: a code does not wait while somebody looks for the keyring's password.
                    if let Err(refusal) = self.unlock_key(resolved).await {
                        place.give_up(refusal.clone());
                        return Err(refusal);
                    }
                    if ask == Ask::PersonUnlessAsked {
                        // Before the question: whatever ends it, nobody is asked twice by a prompt.
                        self.state().put_off.insert(resolved.root.clone());
                    }
                    let claim = Box::new(Claim { place, root: resolved.root.clone(), wanted });
                    return Ok(Opened::YourTurn(question, claim));
                }
                Turn::Wait if ask == Ask::PersonUnlessAsked && !started_process => {
                    return Err(Refusal::AskedElsewhere { profile: resolved.plan.profile.clone() });
                }
                // Who is asked in a terminal may not be back yet.
                Turn::Nobody
                    if ask == Ask::Wait && failure.is_none() && Instant::now() < self.coming_back =>
                {
                    tokio::select! {
                        () = change => {}
                        () = tokio::time::sleep_until(self.coming_back) => {}
                    }
                }
                Turn::Nobody => {
                    return Err(failure.unwrap_or(Refusal::NeedsMfa(question)));
                }
                Turn::Wait => tokio::select! {
                    () = change => {}
                    () = &mut limit => return Err(Refusal::NeedsMfa(question)),
                },
            }
        }
    }
}
