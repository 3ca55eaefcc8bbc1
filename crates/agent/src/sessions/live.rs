//! Live access: from a token to the credentials that are good now, at once and without asking anybody.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Ask, Grant, Live, Refusal};
use tokio::sync::futures::Notified;
use tokio::time::timeout;

use super::{Lasting, Opened, Sessions, Wanted, margin};
use crate::clock::Now;
use crate::journal::Peer;
use crate::lease::Told;
use crate::live::{LiveCredentials, LiveProblem};
use crate::platform::{self, ProcessEnd};
use crate::profile;
use crate::sessions::resolve::Resolved;

/// How long a program waits for a role to be renewed. The SDKs give up after one or two seconds and ask again.
const RENEWAL_TIME: Duration = Duration::from_millis(900);

/// How long a role that could not be had is not asked for again by programs, in seconds.
const FAILURE_SECONDS: u64 = 10;

impl Sessions {
    /// Live access to a profile for a process, with a code where one is needed. It ends with the process where
    /// that wants it for its `own`.
    pub async fn live(
        self: &Arc<Self>,
        peer: &Peer,
        profile: Option<&str>,
        ask: Ask,
        replaces: Option<&str>,
        own: bool,
        lasting: Lasting,
    ) -> Result<Opened<Live>, Refusal> {
        self.refuse_if_locked()?;
        let resolved = self.resolve(profile).await?;
        if let Some(setting) = profile::wins_over_live(&resolved.files) {
            return Err(Refusal::DefaultWins { setting: setting.to_owned() });
        }
        // Roles are renewed while programs run; what a code opened is not.
        let needed = u64::from(lasting.at_least.unwrap_or(0));
        let renew = self.left(&resolved.root).is_some_and(|left| left < needed);
        let after = if renew { self.number(&resolved.root) } else { 0 };
        let opened = self.open(&resolved, ask, Wanted::After(after), lasting).await?;
        if let Opened::YourTurn(question, claim) = opened {
            return Ok(Opened::YourTurn(question, claim));
        }
        // What cannot be had is told now, to the person, and not later to every program.
        self.assume_roles(&resolved, 0).await?;
        self.confirm(&resolved.plan.profile, peer).await?;
        let process = own.then_some(peer);
        // Before the answer: the process waits for it, so its number is still its own.
        let end = process.and_then(|process| ProcessEnd::of(process.pid?).ok());
        let live = self.give_live(&resolved, replaces, process)?;
        self.questions.changed();
        if let Some(end) = end {
            self.end_grant_with(live.grant, end);
        }
        Ok(Opened::Ready(live))
    }

    /// Sees to the grants that a process before this one gave and that end with their programs. Needs the event
    /// loop.
    pub fn watch_programs(self: &Arc<Self>) {
        let mut gone = Vec::new();
        let mut state = self.state();
        for (number, granted) in state.grants.all() {
            match granted.process.as_ref().map(|process| process.pid.map(ProcessEnd::of)) {
                Some(Some(Ok(end))) => self.end_grant_with(number, end),
                Some(Some(Err(_))) => gone.push(number),
                Some(None) | None => {}
            }
        }
        if !gone.is_empty() {
            state.grants.forget(&gone);
        }
    }

    fn end_grant_with(self: &Arc<Self>, number: u64, end: ProcessEnd) {
        let sessions = self.clone();
        tokio::spawn(async move {
            end.reached().await;
            sessions.state().grants.forget(&[number]);
            sessions.questions.changed();
        });
    }

    /// Ends grants of either kind, or where none are named all of live access. Says how many.
    pub fn revoke(&self, grants: &[u64]) -> usize {
        let mut state = self.state();
        let count = state.grants.revoke(grants) + state.sockets.end(grants);
        state.sync_leases(Now::read());
        drop(state);
        self.questions.changed();
        count
    }

    /// All grants, for people to see.
    pub fn grants(&self) -> Vec<Grant> {
        let state = self.state();
        let grants = state.grants.all();
        grants
            .map(|(number, granted)| Grant {
                number,
                profile: granted.profile.clone(),
                since: granted.since,
                pid: granted.process.as_ref().and_then(|process| process.pid),
                // What it is now: when it asked, it was the client that was about to become it.
                program: granted.process.as_ref().and_then(|process| platform::program_of(process.pid?)),
                ended: granted.ended,
            })
            .collect()
    }

    /// Resolves when grants may have come or gone since this was called.
    pub fn grants_changed(&self) -> Notified<'_> {
        self.questions.change()
    }

    /// The credentials behind a grant; none where the token does not open it.
    pub async fn live_credentials(
        self: &Arc<Self>,
        number: u64,
        token: &[u8],
    ) -> Option<Result<LiveCredentials, LiveProblem>> {
        self.catch_up();
        let (profile, ended) = {
            let mut state = self.state();
            let opened = state.grants.opened(number, token, &self.sealer);
            let opened = opened.map(|granted| (granted.profile.clone(), granted.ended));
            if opened.is_none() {
                state.journal.note_once(Now::read(), &Peer::default(), "live access: refused".to_owned());
            }
            opened?
        };
        let answer = if ended {
            Err(LiveProblem::LoggedOut { profile: profile.clone() })
        } else {
            self.answer_live(number, &profile).await
        };
        let result = match &answer {
            Ok(_) => "credentials",
            Err(LiveProblem::LoggedOut { .. }) => "logged out",
            Err(LiveProblem::NoSession { .. }) => "needs an MFA code",
            Err(LiveProblem::Renewing { .. }) => "being renewed",
            Err(LiveProblem::Refused(Refusal::Locked)) => "locked",
            Err(LiveProblem::Refused(_)) => "refused",
        };
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(granted) = state.grants.get_mut(number)
            && granted.last.as_deref() != Some(result)
        {
            granted.last = Some(result.to_owned());
            let peer = granted.process.clone().unwrap_or_default();
            state.journal.note(Now::read(), &peer, format!("live access to {profile}: {result}"));
        }
        Some(answer)
    }

    async fn answer_live(
        self: &Arc<Self>,
        number: u64,
        profile: &str,
    ) -> Result<LiveCredentials, LiveProblem> {
        self.refuse_if_locked()?;
        let now = Now::read();
        let failed = self.state().grants.get_mut(number).and_then(|granted| granted.failed.clone());
        if let Some((until, refusal)) = failed
            && now.boot < until
        {
            return Err(LiveProblem::Refused(refusal));
        }
        let missing = |expired| LiveProblem::NoSession { profile: profile.to_owned(), expired };
        let plan = profile::plan(&*self.files().await?, profile)?;
        if self.known_serial(&plan).is_none() {
            // To look the device up is for who wants a session.
            return Err(missing(false));
        }
        let resolved = self.resolve(Some(profile)).await?;
        let last = resolved.last();
        if let Some(left) = self.left(&last) {
            if left <= margin(&last) && self.left(&resolved.root).is_some() {
                self.wanted(profile);
            }
        } else {
            if self.left(&resolved.root).is_none() {
                return Err(missing(self.state().vault.has_expired(&resolved.root)));
            }
            self.renew_for(number, profile, resolved.clone()).await?;
        }
        let mut state = self.state();
        // Whoever came here before it was locked.
        if state.lock.is_closed() {
            return Err(Refusal::Locked.into());
        }
        state.uses.note(&resolved.root, now);
        let held = state.vault.get(&last, profile, Now::read()).ok_or_else(|| missing(true))?;
        let open = |sealed| self.sealer.open(sealed).ok_or(Refusal::Internal);
        Ok(LiveCredentials {
            access_key_id: held.access_key_id.clone(),
            secret_access_key: open(&held.secret_access_key)?,
            token: open(&held.session_token)?,
            expiration: held.expiration.clone(),
        })
    }

    /// The role is over, as after a night's sleep of the machine. It is assumed to the end, whether or not the
    /// program waits for it.
    async fn renew_for(
        self: &Arc<Self>,
        number: u64,
        profile: &str,
        resolved: Resolved,
    ) -> Result<(), LiveProblem> {
        let sessions = self.clone();
        let renewal = tokio::spawn(async move {
            let renewed = sessions.assume_roles(&resolved, 0).await;
            if let (Err(refusal), Some(granted)) = (&renewed, sessions.state().grants.get_mut(number)) {
                granted.failed = Some((Now::read().boot + FAILURE_SECONDS, refusal.clone()));
            }
            renewed
        });
        match timeout(RENEWAL_TIME, renewal).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(refusal))) => Err(LiveProblem::Refused(refusal)),
            Ok(Err(_panic)) => Err(LiveProblem::Refused(Refusal::Internal)),
            Err(_elapsed) => Err(LiveProblem::Renewing { profile: profile.to_owned() }),
        }
    }

    /// Live access and what a shell needs to know of it.
    pub fn give_live(
        &self,
        resolved: &Resolved,
        replaces: Option<&str>,
        process: Option<&Peer>,
    ) -> Result<Live, Refusal> {
        let profile = &resolved.plan.profile;
        let mut guard = self.state();
        let state = &mut *guard;
        let now = Now::read();
        if state.lock.is_closed() {
            return Err(Refusal::Locked);
        }
        let level = state.level(&resolved.root, now);
        let Some(root) = state.vault.get(&resolved.root, profile, now) else {
            return Err(Refusal::NeedsMfa(resolved.question(true)));
        };
        let key = state
            .grants
            .grant(profile, &resolved.root, process.cloned(), now.wall, &self.sealer)
            .map_err(|error| Refusal::NoLive { problem: error.to_string() })?;
        state.recent.used(profile);
        state.uses.note(&resolved.root, now);
        let told = Told::Live { grant: key.number, number: root.number, root: resolved.root.clone(), level };
        // A process of its own looks at no lease.
        let leases = state.leases.as_mut().filter(|_| process.is_none());
        let lease = leases.and_then(|leases| leases.give(profile, told, root.deadline.wall, "live"));
        let replaced_region = replaces.and_then(|name| profile::region(&resolved.files, name));
        let variables = resolved.configuration.profile.get(profile);
        Ok(Live {
            profile: profile.clone(),
            grant: key.number,
            uri: key.uri,
            token: key.token,
            expiration: root.expiration.clone(),
            expires_at: root.deadline.wall,
            region: resolved.plan.region.clone(),
            replaced_region,
            lease,
            variables: variables.map(|settings| settings.env.clone()).unwrap_or_default(),
        })
    }
}
