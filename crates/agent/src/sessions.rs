//! The rule: have it and it is good, give it; else it needs a code; with the code ask STS, keep it, give it.

mod alias;
mod assume;
mod at_hand;
mod confirm;
mod console;
mod forget;
mod granted;
mod health;
mod iam;
mod keyring;
mod live;
mod lock;
mod login;
mod open;
mod process;
mod recent;
mod refresh;
mod resolve;
mod shell;
mod state;
mod unneeded;
mod unused;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Ask, AwsMfa, Credentials, Memory, Question, Refusal, Secret, Session};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::{Deadline, Now};
use crate::configuration::{Configuration, Rules};
use crate::environment::Environment;
use crate::journal::Peer;
use crate::lease::Told;
use crate::notify::Desktop;
use crate::platform::Fingerprint;
use crate::profile::{self, ConfigFiles};
use crate::questions::{Place, Questions};
use crate::sealed::Sealer;
use crate::sts::{Aws, Issued, Limits, Signer, rfc3339};
use crate::turnstile::Turnstile;
use crate::vault::{Held, SessionKey};
pub use granted::not_configured;
use resolve::Resolved;
pub use state::State;
use state::passed;

/// A role session is renewed before less is left of it than the SDKs take for "about to expire" (botocore:
/// 15 minutes), in seconds.
const ROLE_MARGIN: u64 = 20 * 60;

/// By how much AWS may give a session longer than it was asked for, in seconds.
const SLACK_SECONDS: u64 = 60;

/// How much sooner than asked for credentials may end, in seconds: what was just opened for that span has lost
/// a moment of it already.
const TTL_SLACK: u32 = 60;

/// The one dialog at a time, as a name at the turnstile.
const DESKTOP: &str = "the desktop";

/// The agent's heart.
#[derive(Debug)]
pub struct Sessions {
    environment: Arc<Environment>,
    own_config_file: Option<PathBuf>,
    aws: Aws,
    questions: Questions,
    turnstile: Turnstile,
    desktop: Desktop,
    sealer: Sealer,
    /// Until when those who stood in line before a restart may not all be back.
    coming_back: Instant,
    /// Told when this has not been needed for as long as the person wants it to stay.
    unneeded: Notify,
    state: Mutex<State>,
}

/// What a client that wants a session gets.
#[derive(Debug)]
pub enum Opened<T> {
    /// It is there.
    Ready(T),
    /// It is this client's turn to ask. The turn is given up with the place.
    YourTurn(Question, Box<Claim>),
}

/// The right to ask for one session, and what ends it.
#[derive(Debug)]
pub struct Claim {
    place: Place,
    root: SessionKey,
    wanted: Wanted,
}

/// How long a session that a code opens shall last, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lasting {
    /// By somebody's word; else as the configuration says.
    pub duration: Option<u32>,
    /// No less than this, unless somebody said how long.
    pub at_least: Option<u32>,
}

/// Who knew a code. One that a program printed proves nothing to the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Person,
    Program,
}

/// What somebody is asked for.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// A session with a higher number than this.
    After(u64),
    /// That the agent is unlocked.
    Unlocked,
}

impl Sessions {
    /// A heart with what is held already, and what opens it. Who stood in line for a process before this one comes
    /// back within `coming_back`.
    pub fn new(
        environment: Environment,
        desktop: Desktop,
        state: State,
        sealer: Sealer,
        coming_back: Duration,
    ) -> Self {
        let environment = Arc::new(environment);
        Self {
            own_config_file: environment.own_config_file(),
            aws: Aws::new(),
            environment,
            questions: Questions::default(),
            turnstile: Turnstile::default(),
            desktop,
            sealer,
            coming_back: Instant::now() + coming_back,
            unneeded: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// What is known. A panic elsewhere left it whole: no code panics between two of its changes.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what is over, whoever asks for what: it is decided at use, and the watch's alarm is a hint.
    pub fn catch_up(&self) {
        let now = Now::read();
        let mut state = self.state();
        let ended = state.forget_unused(now) | state.end_grants(now);
        state.sync_leases(now);
        let jumped = state.looked_at.is_some_and(|looked_at| now.jumped_since(looked_at));
        drop(state);
        if jumped || ended {
            self.questions.changed();
        }
    }

    /// Looks for what the person configured before anybody asks.
    pub fn read_configuration(&self) {
        // One that cannot be read is told of to who asks.
        let _ = self.configuration();
    }

    /// Does from here on what the person configured.
    fn obey(&self, fingerprint: Option<Fingerprint>, configuration: &Arc<Configuration>) {
        self.aws.set_limits(Limits::from(&**configuration));
        let rules = Rules::from(&**configuration);
        let mut state = self.state();
        state.configuration = Some((fingerprint, configuration.clone()));
        if state.rules != rules {
            state.rules = rules;
            drop(state);
            self.questions.changed();
        }
    }

    /// What opens what is held.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Another process has it all now: what shells were told is its own.
    pub fn let_go(&self) {
        if let Some(leases) = &mut self.state().leases {
            leases.let_go();
        }
    }

    /// Where the key is under which what is held is encrypted.
    pub fn memory(&self) -> Memory {
        self.sealer.memory()
    }

    /// The environment that the agent runs with.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// AWS's clock minus this machine's, in seconds.
    pub fn skew(&self) -> Option<i64> {
        self.aws.skew()
    }

    /// What is on the screen, and who is asked there.
    pub fn desktop(&self) -> &Desktop {
        &self.desktop
    }

    /// How many clients wait for a code, the asked ones included.
    pub fn waiting(&self) -> usize {
        self.questions.waiting()
    }

    /// The AWS config files as they are now.
    pub async fn files(&self) -> Result<Arc<ConfigFiles>, Refusal> {
        if let Some(files) = &self.state().files
            && files.is_current()
        {
            return Ok(files.clone());
        }
        let files = Arc::new(ConfigFiles::read(&self.environment).await?);
        self.state().files = Some(files.clone());
        Ok(files)
    }

    /// The credentials of a profile, renewed first where they would not last long enough.
    pub async fn credentials(
        self: &Arc<Self>,
        peer: &Peer,
        profile: Option<&str>,
        ask: Ask,
        replaces: Option<&str>,
        lasting: Lasting,
    ) -> Result<Opened<Credentials>, Refusal> {
        self.refuse_if_locked()?;
        let resolved = self.resolve(profile).await?;
        let needed = resolved.needed(lasting.at_least)?;
        self.credentials_of(&resolved, peer, ask, replaces, needed, lasting).await
    }

    /// What aws-mfa's options describe: with a code from a new session, else as [`Self::credentials`].
    pub async fn aws_mfa(
        self: &Arc<Self>,
        peer: &Peer,
        wanted: &AwsMfa,
        ask: Ask,
        force: bool,
        code: Option<&Secret>,
    ) -> Result<Opened<Credentials>, Refusal> {
        if code.is_none() {
            self.refuse_if_locked()?;
        }
        let resolved = self.resolve_aws_mfa(wanted).await?;
        // A role from a session has its own duration.
        let duration = wanted.duration.filter(|_| resolved.last() == resolved.root);
        let lasting = Lasting { duration, at_least: None };
        if let Some(code) = code {
            self.login_to(&resolved, code, lasting, From::Person).await?;
            self.consent(Some(&resolved.plan.profile), peer).await;
        }
        // Nothing lasts that long: whatever is held is renewed.
        let needed = if force && code.is_none() { u64::MAX } else { 0 };
        self.credentials_of(&resolved, peer, ask, None, needed, lasting).await
    }

    async fn credentials_of(
        self: &Arc<Self>,
        resolved: &Resolved,
        peer: &Peer,
        ask: Ask,
        replaces: Option<&str>,
        needed: u64,
        lasting: Lasting,
    ) -> Result<Opened<Credentials>, Refusal> {
        let credentials = |key: &SessionKey| self.give(resolved, key, replaces);
        let last = resolved.last();
        if let Some(left) = self.left(&last)
            && left > margin(&last)
            && left >= needed
        {
            self.confirm(&resolved.plan.profile, peer).await?;
            return Ok(Opened::Ready(credentials(&last)?));
        }
        // What a code opened is renewed by a code alone.
        let renew = last == resolved.root && self.left(&last).is_some_and(|left| left < needed);
        let after = if renew { self.number(&last) } else { 0 };
        let opened = match self.open(resolved, ask, Wanted::After(after), lasting).await {
            // What is left of a role is better than nothing.
            Err(
                Refusal::NeedsMfa(_)
                | Refusal::MfaProcess(_)
                | Refusal::Seed(_)
                | Refusal::Network { .. }
                | Refusal::Aws { .. },
            ) if !renew && self.left(&last).is_some_and(|left| left >= needed) => {
                self.confirm(&resolved.plan.profile, peer).await?;
                return Ok(Opened::Ready(credentials(&last)?));
            }
            other => other?,
        };
        match opened {
            Opened::YourTurn(question, claim) => Ok(Opened::YourTurn(question, claim)),
            Opened::Ready(()) => {
                self.assume_roles(resolved, needed).await?;
                self.confirm(&resolved.plan.profile, peer).await?;
                Ok(Opened::Ready(credentials(&last)?))
            }
        }
    }

    /// The session that a code opens for a profile.
    pub async fn session(
        self: &Arc<Self>,
        profile: Option<&str>,
        ask: Ask,
        force: bool,
        lasting: Lasting,
    ) -> Result<Opened<Session>, Refusal> {
        self.refuse_if_locked()?;
        let resolved = self.resolve(profile).await?;
        let after = if force { self.number(&resolved.root) } else { 0 };
        Ok(match self.open(&resolved, ask, Wanted::After(after), lasting).await? {
            Opened::YourTurn(question, claim) => Opened::YourTurn(question, claim),
            Opened::Ready(()) => Opened::Ready(self.describe(&resolved)?),
        })
    }

    /// Forgets what the files said, and what IAM said of devices: both are read again when they are needed.
    pub fn read_anew(&self) {
        let mut state = self.state();
        state.files = None;
        state.configuration = None;
        state.devices.clear();
        state.journal.note(Now::read(), &Peer::default(), "SIGHUP: the files are read anew".to_owned());
        drop(state);
        self.read_configuration();
        self.questions.changed();
    }

    /// Holds what AWS issued, unless sessions were forgotten since it was asked for.
    fn keep(&self, key: &SessionKey, resolved: &Resolved, issued: Issued, duration: u32, forgets: u64) {
        let profile = &resolved.plan.profile;
        let now = Now::read();
        let aws_now = now.wall.saturating_add_signed(self.aws.skew().unwrap_or(0));
        // No longer than asked for, whatever the answer's clock says.
        let left = issued.expires_at.saturating_sub(aws_now).min(u64::from(duration) + SLACK_SECONDS);
        let deadline = Deadline::after(now, left);
        let held = Held::new(
            issued.signer.access_key_id,
            self.sealer.seal(&issued.signer.secret_access_key),
            self.sealer.seal(&issued.signer.session_token.unwrap_or_else(|| Secret::new(String::new()))),
            deadline,
            rfc3339(issued.expires_at),
            u64::from(duration),
        );
        let mut state = self.state();
        if state.forgets != forgets {
            return;
        }
        if key.root() == key {
            state.uses.note(key, now);
        }
        state.vault.put(key.clone(), profile, held);
        state.put_off.remove(key);
        state.retry_at.remove(profile);
        state.sync_leases(now);
        drop(state);
        self.questions.changed();
    }

    fn give(
        &self,
        resolved: &Resolved,
        key: &SessionKey,
        replaces: Option<&str>,
    ) -> Result<Credentials, Refusal> {
        let profile = &resolved.plan.profile;
        let mut guard = self.state();
        let state = &mut *guard;
        let now = Now::read();
        // Whoever came here before it was locked.
        if state.lock.is_closed() {
            return Err(Refusal::Locked);
        }
        let level = state.level(&resolved.root, now);
        let Some(held) = state.vault.get(key, profile, now) else {
            return Err(Refusal::NeedsMfa(resolved.question(true)));
        };
        let open = |sealed| self.sealer.open(sealed).ok_or(Refusal::Internal);
        let (secret_access_key, session_token) = (open(&held.secret_access_key)?, open(&held.session_token)?);
        state.recent.used(profile);
        state.uses.note(key, now);
        let told = Told::Ready { number: held.number, root: resolved.root.clone(), level };
        let lease = state.leases.as_mut().filter(|_| resolved.leased);
        let lease =
            lease.and_then(|leases| leases.give(profile, told, held.deadline.wall, &held.access_key_id));
        let replaced_region = replaces.and_then(|name| profile::region(&resolved.files, name));
        let variables = resolved.configuration.profile.get(profile);
        Ok(Credentials {
            profile: profile.clone(),
            access_key_id: held.access_key_id.clone(),
            secret_access_key,
            session_token,
            expiration: held.expiration.clone(),
            expires_at: held.deadline.wall,
            region: resolved.plan.region.clone(),
            replaced_region,
            lease,
            variables: variables.map(|settings| settings.env.clone()).unwrap_or_default(),
        })
    }

    fn describe(&self, resolved: &Resolved) -> Result<Session, Refusal> {
        let now = Now::read();
        let mut state = self.state();
        state.uses.note(&resolved.root, now);
        state.vault.get(&resolved.root, &resolved.plan.profile, now);
        let session = state.vault.describe_one(&resolved.root, now);
        session.ok_or_else(|| Refusal::NeedsMfa(resolved.question(true)))
    }

    fn signer(&self, key: &SessionKey, profile: &str) -> Option<Signer> {
        let mut state = self.state();
        let held = state.vault.get(key, profile, Now::read())?;
        Some(Signer {
            access_key_id: held.access_key_id.clone(),
            secret_access_key: self.sealer.open(&held.secret_access_key)?,
            session_token: Some(self.sealer.open(&held.session_token)?),
        })
    }

    fn number(&self, key: &SessionKey) -> u64 {
        self.state().vault.number(key, Now::read())
    }

    fn left(&self, key: &SessionKey) -> Option<u64> {
        let mut state = self.state();
        state.vault.describe_one(key, Now::read()).map(|session| session.seconds_left)
    }
}

/// With how little time left a session is not given out any more where it can be renewed, in seconds.
fn margin(key: &SessionKey) -> u64 {
    match key {
        SessionKey::Role { role, .. } => ROLE_MARGIN.min(u64::from(role.duration) / 3),
        SessionKey::Mfa { .. } | SessionKey::RoleWithMfa { .. } => 0,
    }
}
