//! What was held is held no more.

use std::collections::BTreeSet;

use protocol::{NamedRole, Refusal};

use super::Sessions;
use crate::clock::Now;
use crate::codes::Codes;
use crate::journal::Peer;
use crate::live::{Granted, Grants};
use crate::profile;
use crate::vault::{SessionKey, Vault};

impl Sessions {
    /// Forgets the sessions behind profiles, or all, and ends the live access to them. Says how many sessions that
    /// codes opened, and how many grants.
    pub async fn logout(&self, profiles: &[String], all: bool) -> Result<(usize, usize), Refusal> {
        let mut names = Vec::new();
        if profiles.is_empty() && !all {
            names.push(self.default_profile(&*self.files().await?)?);
        }
        for profile in profiles.iter().filter(|_| !all) {
            // Files that cannot be read keep nobody from logging out.
            names.push(match NamedRole::of(profile) {
                Some(_) => self.meant(&*self.files().await?, Some(profile))?.into_owned(),
                None => profile.clone(),
            });
        }
        let profiles = names;
        let mut roots = if all { self.state().vault.roots() } else { self.state().vault.roots_of(&profiles) };
        for profile in &profiles {
            let profile = std::slice::from_ref(profile);
            if self.state().vault.roots_of(profile).is_empty() {
                // A session that this profile has not used yet counts; a mistyped name is an error.
                let plan = profile::plan(&*self.files().await?, &profile[0])?;
                // Where the device is not known there is no session, and to look it up would be a call.
                if self.known_serial(&plan).is_some() {
                    roots.insert(self.resolve(Some(&profile[0])).await?.root);
                }
            }
        }
        Ok(self.forget(&roots, all, |granted| {
            all || roots.contains(&granted.root) || profiles.contains(&granted.profile)
        }))
    }

    /// Forgets these MFA sessions with all that rests on them, or all there are, and ends these grants; how many of each.
    pub(super) fn forget(
        &self,
        roots: &BTreeSet<SessionKey>,
        all: bool,
        ends: impl Fn(&Granted) -> bool,
    ) -> (usize, usize) {
        let mut state = self.state();
        let forgotten = roots.iter().filter(|root| state.vault.forget(root)).count();
        let ended = state.grants.end(ends);
        if all {
            state.vault.forget_expired();
        }
        state.forgets += 1;
        state.devices.clear();
        state.sync_leases(Now::read());
        drop(state);
        self.questions.changed();
        (forgotten, ended)
    }

    /// Forgets every session and grant, as `logout --all` does, for a reason that no client gave.
    pub fn forget_everything(&self, reason: &str) {
        let roots = self.state().vault.roots();
        let (sessions, _) = self.forget(&roots, true, |_| true);
        let event = format!("{reason}: {sessions} sessions forgotten");
        self.state().journal.note(Now::read(), &Peer::default(), event);
    }

    /// Forgets everything: the agent leaves.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.forgets += 1;
        state.vault = Vault::default();
        state.codes = Codes::default();
        state.leases = None;
        state.grants = Grants::default();
        state.sockets.end_all();
    }
}
