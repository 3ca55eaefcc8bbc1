//! Granted sockets: making and ending them, and what they give out. By them nobody is asked for a code, nothing is
//! changed, and no more is told of a profile than who has its credentials can see.

use std::sync::Arc;

use protocol::{
    Ask, Credentials, DEFAULT_GRANT_SECONDS, GRANT_SECONDS, GrantedSocket, NotHere, Refusal, Session,
    ShellState,
};

use super::{Lasting, Opened, Sessions};
use crate::clock::Now;
use crate::granted::MOST_PROFILES;
use crate::journal::Peer;
use crate::platform;
use crate::profile;

impl Sessions {
    /// Makes a socket that gives out these profiles, for so many seconds. Needs the event loop.
    pub async fn grant(&self, profiles: &[String], duration: Option<u32>) -> Result<GrantedSocket, Refusal> {
        self.refuse_if_locked()?;
        let seconds = duration.unwrap_or(DEFAULT_GRANT_SECONDS);
        if !GRANT_SECONDS.contains(&seconds) {
            let (least, most) = (GRANT_SECONDS.start(), GRANT_SECONDS.end());
            return Err(no_grant(format!(
                "it can stand for {least} to {most} seconds, and not for {seconds}"
            )));
        }
        let mut named: Vec<String> = Vec::new();
        for name in profiles {
            let files = self.files().await?;
            let name = self.meant(&files, Some(name))?.into_owned();
            if !named.contains(&name) {
                profile::plan(&files, &name)?;
                named.push(name);
            }
        }
        if named.is_empty() {
            return Err(Refusal::NoProfile);
        }
        if named.len() > MOST_PROFILES {
            return Err(no_grant(format!("{MOST_PROFILES} profiles are the most")));
        }
        let now = Now::read();
        let mut state = self.state();
        let number = state.grants.next_number();
        let opened = state.sockets.open(number, named, u64::from(seconds), now);
        opened.map_err(|error| no_grant(error.to_string()))?;
        let granted = state.sockets.get_mut(number, now).map(|granted| granted.describe(number, now));
        drop(state);
        self.questions.changed();
        granted.ok_or(Refusal::Internal)
    }

    /// The credentials of a profile, for who asks by a grant.
    pub async fn granted_credentials(
        self: &Arc<Self>,
        number: u64,
        peer: &Peer,
        profile: &str,
        replaces: Option<&str>,
        min_ttl: Option<u32>,
    ) -> Result<Credentials, Refusal> {
        self.must_be_held(profile).await?;
        let failure = self
            .state()
            .sockets
            .get_mut(number, Now::read())
            .and_then(|granted| granted.failure(profile, Now::read()));
        if let Some(failure) = failure {
            return Err(failure);
        }
        let lasting = Lasting { duration: None, at_least: min_ttl };
        match self.credentials(peer, Some(profile), Ask::Never, replaces, lasting).await {
            Ok(Opened::Ready(mut credentials)) => {
                // A file of this host's, for this host's shells.
                credentials.lease = None;
                Ok(credentials)
            }
            // Nobody is asked who says never.
            Ok(Opened::YourTurn(..)) => Err(Refusal::Internal),
            Err(refusal) => {
                let now = Now::read();
                if matches!(refusal, Refusal::Aws { .. } | Refusal::Network { .. })
                    && let Some(granted) = self.state().sockets.get_mut(number, now)
                {
                    granted.failed(profile, &refusal, now);
                }
                Err(seen_from_elsewhere(profile, refusal, min_ttl.is_some()))
            }
        }
    }

    /// Whether there is a session for a profile, for who asks by a grant. A new one is not to be had there.
    pub async fn granted_session(self: &Arc<Self>, profile: &str, force: bool) -> Result<Session, Refusal> {
        self.must_be_held(profile).await?;
        match self.session(Some(profile), Ask::Never, force, Lasting::default()).await {
            Ok(Opened::Ready(mut session)) => {
                session.profiles.retain(|name| name == profile);
                Ok(session)
            }
            Ok(Opened::YourTurn(..)) => Err(Refusal::Internal),
            Err(refusal) => Err(seen_from_elsewhere(profile, refusal, force)),
        }
    }

    /// What has become of a profile, for a shell that uses it by a grant.
    pub async fn granted_shell(&self, peer: &Peer, profile: &str) -> Result<ShellState, Refusal> {
        let state = match self.may_keep(profile, peer) {
            Ok(()) => self.shell(profile, false, true).await,
            Err(refusal) => Err(refusal),
        };
        state.map_err(|refusal| seen_from_elsewhere(profile, refusal, false))
    }

    /// There is a session: who asks by a grant moves nobody to call AWS with the long-term key.
    async fn must_be_held(&self, profile: &str) -> Result<(), Refusal> {
        let held = async {
            self.refuse_if_locked()?;
            let plan = profile::plan(&*self.files().await?, profile)?;
            if self.known_serial(&plan).is_none() {
                return Err(not_here(profile, NotHere::NoSession));
            }
            let resolved = self.resolve(Some(profile)).await?;
            if self.left(&resolved.root).is_none() {
                let expired = self.state().vault.has_expired(&resolved.root);
                return Err(not_here(profile, if expired { NotHere::Expired } else { NotHere::NoSession }));
            }
            Ok(())
        };
        held.await.map_err(|refusal| seen_from_elsewhere(profile, refusal, false))
    }
}

/// What another host is told of a refusal. `longer`: more was wanted than there is.
fn seen_from_elsewhere(profile: &str, refusal: Refusal, longer: bool) -> Refusal {
    let why = match refusal {
        Refusal::NeedsMfa(_) if longer => NotHere::TooShort,
        Refusal::NeedsMfa(question) if !question.expired => NotHere::NoSession,
        Refusal::NeedsMfa(_) => NotHere::Expired,
        Refusal::Locked => NotHere::Locked,
        same @ (Refusal::NotHere { .. }
        | Refusal::NotConfirmed { .. }
        | Refusal::LastsShorter { .. }
        | Refusal::Aws { .. }
        | Refusal::Network { .. }
        | Refusal::Restarting
        | Refusal::Internal) => return same,
        _ => NotHere::Configuration,
    };
    not_here(profile, why)
}

/// The profile cannot work. What is wrong, and which other profiles there are, is told where the agent runs.
pub fn not_configured(profile: &str) -> Refusal {
    not_here(profile, NotHere::Configuration)
}

fn not_here(profile: &str, why: NotHere) -> Refusal {
    Refusal::NotHere { profile: profile.to_owned(), host: platform::host(), why }
}

fn no_grant(problem: String) -> Refusal {
    Refusal::NoGrant { problem }
}
