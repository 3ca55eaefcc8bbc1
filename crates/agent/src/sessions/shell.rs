//! What shells are told of their profile, at once and without a call to AWS; and the watch that sees to it that
//! what they were told stays true.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::{EndReason, Refusal, ShellState};

use super::{Sessions, margin, passed};
use crate::clock::Now;
use crate::configuration::AutoPrompt;
use crate::lease::Told;
use crate::profile;

/// How long to leave a role alone that could not be renewed, in seconds.
const RETRY_SECONDS: u64 = 60;

/// The watch looks at least this often: its timer does not count the time that the machine sleeps.
const LONGEST_REST: Duration = Duration::from_hours(1);

impl Sessions {
    /// What has become of a profile.
    pub async fn shell(&self, profile: &str) -> Result<ShellState, Refusal> {
        let ended = ShellState::Ended { reason: EndReason::NoSession, lease: None, ask: false };
        let plan = profile::plan(&*self.files().await?, profile)?;
        if let Some(locked) = self.locked_shell(profile) {
            return Ok(locked);
        }
        if self.known_serial(&plan).is_none() {
            // Never logged in: to look the device up is for who wants a session.
            return Ok(ended);
        }
        let resolved = self.resolve(Some(profile)).await?;
        let last = resolved.last();
        let now = Now::read();
        let left = self.state().vault.left(&last, now);
        if let Some(left) = left {
            let credentials = match self.give(&resolved, &last, None) {
                Ok(credentials) => Box::new(credentials),
                // In this very moment.
                Err(refusal) => return self.locked_shell(profile).ok_or(refusal),
            };
            if left <= margin(&last) {
                // The watch let it be while nothing was given out.
                self.wanted(profile);
            }
            let mut state = self.state();
            let level = state.level(&resolved.root, now);
            let number = state.vault.number(&resolved.root, now);
            let first = level > 0 && state.told.insert((number, level));
            let ends_in = if first { state.vault.left(&resolved.root, now) } else { None };
            let asks = resolved.configuration.auto_prompt == AutoPrompt::Expiring;
            let ask = asks && level > 0 && !state.put_off.contains(&resolved.root);
            return Ok(ShellState::Ready { credentials, ends_in, ask });
        }
        let mut guard = self.state();
        let state = &mut *guard;
        state.sync_leases(now);
        let role_alone = state.vault.left(&resolved.root, now).is_some();
        let expired = state.vault.has_expired(&resolved.root);
        let wants = resolved.configuration.auto_prompt != AutoPrompt::Never;
        let ask = expired && wants && !state.put_off.contains(&resolved.root);
        let missing = if role_alone { last } else { resolved.root.clone() };
        let lease = state.leases.as_mut();
        let lease = lease.and_then(|leases| leases.give(profile, Told::Ended { missing }, 0, "").ok());
        drop(guard);
        if role_alone {
            // The watch renews it; its lease goes when it is there.
            self.wanted(profile);
        }
        let reason = if expired { EndReason::Expired } else { EndReason::NoSession };
        Ok(ShellState::Ended { reason, lease, ask })
    }

    /// What a shell is told while nothing is given out.
    fn locked_shell(&self, profile: &str) -> Option<ShellState> {
        let mut state = self.state();
        if !state.lock.is_closed() {
            return None;
        }
        let lease = state.leases.as_mut();
        let lease = lease.and_then(|leases| leases.give(profile, Told::Locked, 0, "").ok());
        Some(ShellState::Ended { reason: EndReason::Locked, lease, ask: false })
    }

    /// Keeps what shells were told true, for as long as the agent lives: takes leases back at their moments, and
    /// renews the roles that shells hold.
    pub async fn keep_watch(self: Arc<Self>) {
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            let (renew, rest) = self.look(Now::read());
            for profile in renew {
                let sessions = self.clone();
                tokio::spawn(async move { sessions.renew(&profile).await });
            }
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = change => {}
            }
        }
    }

    /// The profiles whose roles are to be renewed now, and how long nothing else is to be done.
    fn look(&self, now: Now) -> (BTreeSet<String>, Duration) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.sync_leases(now);
        let mut next = LONGEST_REST.as_secs();
        let locked = state.lock.is_closed();
        let mut due = Vec::new();
        for (key, number, left) in state.vault.all_left(now) {
            next = next.min(left);
            if key.root() == key {
                let level = passed(&state.notify_before, Some(left));
                if let Some(span) = state.notify_before.get(level) {
                    next = next.min(left - u64::from(*span));
                }
            } else if left > margin(key) {
                next = next.min(left - margin(key));
            } else if !locked && state.vault.left(key.root(), now).is_some() {
                due.push(number);
            }
        }
        // Nothing is used that is not given out.
        let mut renew: BTreeSet<String> =
            if locked { BTreeSet::new() } else { std::mem::take(&mut state.wanted) };
        renew.extend(state.leases.as_ref().map(|leases| leases.profiles_of(&due)).unwrap_or_default());
        state.retry_at.retain(|_, at| *at > now.boot);
        renew.retain(|profile| !state.retry_at.contains_key(profile));
        for profile in &renew {
            state.retry_at.insert(profile.clone(), now.boot + RETRY_SECONDS);
        }
        if let Some(at) = state.retry_at.values().min() {
            next = next.min(at - now.boot);
        }
        // The clocks count whole seconds: a moment later it is certain.
        (renew, Duration::from_secs(next) + Duration::from_millis(50))
    }

    async fn renew(&self, profile: &str) {
        let renewed = match self.refuse_if_locked().and(self.resolve(Some(profile)).await) {
            Ok(resolved) => self.assume_roles(&resolved).await,
            Err(refusal) => Err(refusal),
        };
        let event = match renewed {
            Ok(()) => format!("role of {profile}: renewed"),
            Err(_) => format!("role of {profile}: not renewed"),
        };
        self.state().journal.note(Now::read(), &crate::journal::Peer::default(), event);
    }

    fn wanted(&self, profile: &str) {
        self.state().wanted.insert(profile.to_owned());
        self.questions.changed();
    }
}
