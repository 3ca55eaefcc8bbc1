//! The watch: sees to it that what people and their shells were told stays true.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use super::{Sessions, margin, passed};
use crate::clock::{self, Now};
use crate::platform::Alarm;

/// How long to leave a role alone that could not be renewed, in seconds.
const RETRY_SECONDS: u64 = 60;

impl Sessions {
    /// Keeps what shells were told true, for as long as the agent lives: takes leases back at their moments, and
    /// renews the roles that shells hold.
    pub async fn keep_watch(self: Arc<Self>, alarm: Alarm) {
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            let (renew, next) = self.look(Now::read());
            for profile in renew {
                let sessions = self.clone();
                tokio::spawn(async move { sessions.renew(&profile).await });
            }
            tokio::select! {
                () = alarm.ring(next.map(clock::until)) => {}
                () = change => {}
            }
        }
    }

    /// The profiles whose roles are to be renewed now, and the moment when the next thing is to be done, by the
    /// wall clock.
    fn look(&self, now: Now) -> (BTreeSet<String>, Option<u64>) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.sync_leases(now);
        state.looked_at = Some(now);
        let mut next = u64::MAX;
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
        (renew, (next < u64::MAX).then(|| now.wall.saturating_add(next)))
    }

    async fn renew(&self, profile: &str) {
        let renewed = match self.refuse_if_locked().and(self.resolve(Some(profile)).await) {
            Ok(resolved) => self.assume_roles(&resolved, 0).await,
            Err(refusal) => Err(refusal),
        };
        let event = match renewed {
            Ok(()) => format!("role of {profile}: renewed"),
            Err(_) => format!("role of {profile}: not renewed"),
        };
        self.state().journal.note(Now::read(), &crate::journal::Peer::default(), event);
    }
}
