//! What shells are told of their profile, at once and without a call to AWS.

use protocol::{Credentials, EndReason, Live, Refusal, ShellState};

use super::{Sessions, margin};
use crate::clock::Now;
use crate::configuration::AutoPrompt;
use crate::lease::Told;
use crate::platform;
use crate::profile;

/// The time of a lease that no clock ends, in seconds since the epoch: the year 2100. fish takes a lease for over
/// that is older than the terminal.
const NEVER_OVER: u64 = 4_102_444_800;

/// What a shell has.
enum Given {
    Credentials(Box<Credentials>),
    Live(Box<Live>),
}

impl Sessions {
    /// What has become of a profile. To a shell `elsewhere`, on another host or in a container, nothing is told that
    /// this host's shells are to tell, and nothing is asked.
    pub async fn shell(&self, profile: &str, live: bool, elsewhere: bool) -> Result<ShellState, Refusal> {
        if live && self.state().grants.is_revoked(profile) {
            return Ok(ShellState::Ended { reason: EndReason::Revoked, lease: None, ask: false, host: None });
        }
        let host = elsewhere.then(platform::host);
        let ended =
            ShellState::Ended { reason: EndReason::NoSession, lease: None, ask: false, host: host.clone() };
        let plan = profile::plan(&*self.files().await?, profile)?;
        if let Some(locked) = self.locked_shell(profile, elsewhere) {
            return Ok(locked);
        }
        if self.known_serial(&plan).is_none() {
            // Never logged in: to look the device up is for who wants a session.
            return Ok(ended);
        }
        let resolved = self.resolve(Some(profile)).await?;
        let last = resolved.last();
        let now = Now::read();
        // Programs with live access wait for a role's renewal, a shell does not.
        let there = if live { &resolved.root } else { &last };
        let left = self.state().vault.left(there, now);
        if let Some(left) = left {
            let given = if live {
                // A shell that was logged out has its access again when it is logged in again, like any other.
                self.give_live(&resolved, None, None).map(|live| Given::Live(Box::new(live)))
            } else {
                self.give(&resolved, &last, None).map(|credentials| Given::Credentials(Box::new(credentials)))
            };
            let mut given = match given {
                Ok(given) => given,
                // In this very moment.
                Err(refusal) => return self.locked_shell(profile, elsewhere).ok_or(refusal),
            };
            if elsewhere && let Given::Credentials(credentials) = &mut given {
                credentials.lease = None;
            }
            if live {
                self.questions.changed();
            }
            if left <= margin(there) {
                // The watch let it be while nothing was given out.
                self.wanted(profile);
            }
            let mut state = self.state();
            let level = state.level(&resolved.root, now);
            let number = state.vault.number(&resolved.root, now);
            let first = level > 0 && !elsewhere && state.told.insert((number, level));
            let ends_in = if first { state.vault.left(&resolved.root, now) } else { None };
            let terminal = resolved.configuration.terminal_notification(profile).filter(|_| first);
            let asks = resolved.configuration.auto_prompt(profile) == AutoPrompt::Expiring;
            let ask = asks && !elsewhere && level > 0 && !state.put_off.contains(&resolved.root);
            return Ok(match given {
                Given::Credentials(credentials) => ShellState::Ready { credentials, ends_in, terminal, ask },
                Given::Live(live) => ShellState::Live { live, ends_in, terminal, ask },
            });
        }
        let mut guard = self.state();
        let state = &mut *guard;
        state.sync_leases(now);
        let role_alone = state.vault.left(&resolved.root, now).is_some();
        let expired = state.vault.has_expired(&resolved.root);
        let wants = resolved.configuration.auto_prompt(profile) != AutoPrompt::Never;
        let ask = expired && wants && !elsewhere && !state.put_off.contains(&resolved.root);
        let missing = if role_alone { last } else { resolved.root.clone() };
        let lease = state.leases.as_mut().filter(|_| !elsewhere);
        let lease = lease.and_then(|leases| leases.give(profile, Told::Ended { missing }, NEVER_OVER, ""));
        drop(guard);
        if role_alone {
            // The watch renews it; its lease goes when it is there.
            self.wanted(profile);
        }
        let reason = if expired { EndReason::Expired } else { EndReason::NoSession };
        Ok(ShellState::Ended { reason, lease, ask, host })
    }

    /// What a shell is told while nothing is given out.
    fn locked_shell(&self, profile: &str, elsewhere: bool) -> Option<ShellState> {
        let mut state = self.state();
        if !state.lock.is_closed() {
            return None;
        }
        let lease = state.leases.as_mut().filter(|_| !elsewhere);
        let lease = lease.and_then(|leases| leases.give(profile, Told::Locked, NEVER_OVER, ""));
        let host = elsewhere.then(platform::host);
        Some(ShellState::Ended { reason: EndReason::Locked, lease, ask: false, host })
    }

    /// The watch renews the role of a profile.
    pub fn wanted(&self, profile: &str) {
        self.state().wanted.insert(profile.to_owned());
        self.questions.changed();
    }
}
