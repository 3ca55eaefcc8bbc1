//! The rule: have it and it is good, give it; else it needs a code; with the code ask STS, keep it, give it.

mod alias;
mod assume;
mod at_hand;
mod confirm;
mod console;
mod granted;
mod health;
mod iam;
mod keyring;
mod live;
mod lock;
mod login;
mod process;
mod recent;
mod refresh;
mod resolve;
mod shell;
mod unneeded;
mod unused;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Ask, AwsMfa, Credentials, Memory, NamedRole, Question, Refusal, Secret, Session};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::{Deadline, Now};
use crate::codes::Codes;
use crate::configuration::{Configuration, LockOn, Rules};
use crate::environment::Environment;
use crate::granted::Sockets;
use crate::journal::{Journal, Peer};
use crate::lease::{Leases, Told};
use crate::live::{Granted, Grants};
use crate::notify::{Desktop, Notices, Screen};
use crate::profile::{self, ConfigFiles};
use crate::questions::{Place, Questions, Turn};
use crate::sealed::Sealer;
use crate::sts::{Aws, Issued, Signer, rfc3339};
use crate::turnstile::Turnstile;
use crate::vault::{Held, SessionKey, Vault};
use alias::Aliases;
use confirm::Consents;
pub use granted::not_configured;
use lock::Lock;
use process::Source;
use recent::Recent;
use resolve::Resolved;
use unused::Uses;

/// How long a client may wait for what another one is asked. Longer than any prompt stays open.
const WAIT_LIMIT: Duration = Duration::from_mins(15);

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

/// Everything that the agent knows, behind one lock that is never held across a call to AWS. A restart hands it
/// over, but for what is of this process or of this moment.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    #[serde(skip)]
    files: Option<Arc<ConfigFiles>>,
    /// The one device of a key, as IAM named it.
    devices: BTreeMap<String, String>,
    /// Whose place a long-term key took, by the ids of both: the sessions of a user go on under the first one's.
    successors: BTreeMap<String, String>,
    codes: Codes,
    /// What is held.
    pub vault: Vault,
    /// Who asked for what.
    pub journal: Journal,
    /// What shells were told; none at the agent's end.
    pub leases: Option<Leases>,
    /// Why there are no leases, as the log says.
    #[serde(skip)]
    no_leases: Option<String>,
    /// Who gets credentials over HTTP.
    pub grants: Grants,
    /// The sockets that give out a few profiles.
    pub sockets: Sockets,
    /// What is done by itself.
    rules: Rules,
    /// The numbers of sessions whose end somebody was told of, with how many moments had passed.
    told: BTreeSet<(u64, usize)>,
    /// To what the person said yes and no.
    consents: Consents,
    /// What gave no code, how, and until when that counts, by the boot-time clock.
    #[serde(skip)]
    no_code: BTreeMap<Source, (Refusal, u64)>,
    /// The sessions that a prompt asked for, and nobody answered.
    put_off: BTreeSet<SessionKey>,
    /// Profiles whose roles could not be renewed, and when to try again, by the boot-time clock.
    #[serde(skip)]
    retry_at: BTreeMap<String, u64>,
    /// How often sessions were forgotten: an answer to a question from before must not bring them back.
    forgets: u64,
    /// How many logins are under way: the code is out, and the session not here yet.
    #[serde(skip)]
    logins: usize,
    /// Profiles whose role a shell waits for.
    wanted: BTreeSet<String>,
    /// Whether something of this is given out.
    lock: Lock,
    /// The profiles whose credentials were given out.
    pub recent: Recent,
    /// When sessions were used last.
    uses: Uses,
    /// When the watch last looked.
    #[serde(skip)]
    looked_at: Option<Now>,
    /// Whom the desktop told of what.
    notices: Notices,
    /// The names of accounts.
    aliases: Aliases,
    /// The sessions that the person is renewing, after a click.
    being_renewed: BTreeSet<SessionKey>,
    /// Nobody is at the desktop; locked then.
    idle_until: Option<Deadline>,
    /// Why nothing can be shown on a desktop, as the log says.
    #[serde(skip)]
    no_desktop: Option<String>,
    /// Since when there is nothing to be here for; none where there is something.
    #[serde(skip)]
    unneeded_since: Option<Now>,
}

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
    pub fn obey(&self, configuration: &Configuration) {
        let rules = Rules::from(configuration);
        let mut state = self.state();
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
    fn forget(
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

    /// Forgets what the files said, and what IAM said of devices: both are read again when they are needed.
    pub fn read_anew(&self) {
        let mut state = self.state();
        state.files = None;
        state.devices.clear();
        state.journal.note(Now::read(), &Peer::default(), "SIGHUP: the files are read anew".to_owned());
        drop(state);
        self.read_configuration();
        self.questions.changed();
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
    fn is_there(&self, root: &SessionKey, wanted: Wanted) -> Result<bool, Refusal> {
        match wanted {
            Wanted::Unlocked => Ok(!self.is_locked()),
            Wanted::After(number) => self.refuse_if_locked().map(|()| self.number(root) > number),
        }
    }

    /// Waits until the session that all rests on is there, or until it is this client's turn to ask for it.
    async fn open(
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
            let failed = place.failed();
            let failed = failed.and_then(|call| call.meets(&resolved.sts, &resolved.plan.user.key_id));
            if let Some(error) = failed {
                return Err(self.login_call(resolved, resolved.duration(lasting)?).explain(error));
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

impl State {
    /// What locks by itself, for the profiles that are held.
    fn lock_on(&self) -> LockOn {
        self.rules.lock_on(&self.vault.profiles())
    }

    /// What is held, for people to see.
    pub fn describe(&mut self, now: Now) -> Vec<Session> {
        let Self { vault, notices, aliases, .. } = self;
        let mut sessions = vault.describe(now, |key| notices.next_of(key, now));
        for session in &mut sessions {
            let alias = session.account.as_deref().and_then(|account| aliases.of(account));
            session.account_alias = alias.map(str::to_owned);
        }
        sessions
    }

    /// What the process before this one had on the screen, and what it was asking for, is told of by this one.
    fn show_again(&mut self) -> Option<Screen> {
        let being_renewed = std::mem::take(&mut self.being_renewed);
        self.notices.show_again(&being_renewed)
    }

    /// How many sessions would need a new code if they were lost, those under way included.
    pub fn would_be_lost(&mut self, now: Now) -> usize {
        self.vault.len(now) + self.logins
    }

    /// Ends the granted sockets whose time is up; whether there were some.
    fn end_grants(&mut self, now: Now) -> bool {
        let ended = self.sockets.end_expired(now);
        for number in &ended {
            self.journal.note(now, &Peer::default(), format!("grant {number}: its time is up"));
        }
        !ended.is_empty()
    }

    /// Lets go of what is over, and takes back what is no longer true.
    fn sync_leases(&mut self, now: Now) {
        if self.would_be_lost(now) == 0 {
            self.lock.dissolve();
        }
        let problem = self.leases.as_ref().and_then(Leases::problem);
        if self.no_leases.as_deref() != problem {
            self.no_leases = problem.map(str::to_owned);
            let event = match &self.no_leases {
                Some(problem) => format!("no leases: {problem}; prompts ask once a minute instead"),
                None => "leases again".to_owned(),
            };
            self.journal.note(now, &Peer::default(), event);
        }
        let Self { vault, leases, rules, told, lock, grants, .. } = self;
        let level =
            |root: &SessionKey| passed(&rules.notify_before(vault.profiles_at(root)), vault.left(root, now));
        told.retain(|(number, _)| vault.may_hold(*number));
        if let Some(leases) = leases {
            leases.keep(|told| match told {
                Told::Ready { number, root, level: told } => {
                    !lock.is_closed() && vault.holds(*number) && *told == level(root)
                }
                Told::Live { grant, number, root, level: told } => {
                    !lock.is_closed() && grants.stands(*grant) && vault.holds(*number) && *told == level(root)
                }
                Told::Ended { missing } => vault.left(missing, now).is_none(),
                Told::Locked => lock.is_closed(),
            });
        }
    }

    /// How many of the moments worth telling have passed for a session.
    fn level(&self, root: &SessionKey, now: Now) -> usize {
        passed(&self.rules.notify_before(self.vault.profiles_at(root)), self.vault.left(root, now))
    }
}

/// How many of the spans before its end a session has entered.
fn passed(notify_before: &[u32], left: Option<u64>) -> usize {
    let left = left.unwrap_or(0);
    notify_before.iter().filter(|span| left <= u64::from(**span)).count()
}

/// With how little time left a session is not given out any more where it can be renewed, in seconds.
fn margin(key: &SessionKey) -> u64 {
    match key {
        SessionKey::Role { role, .. } => ROLE_MARGIN.min(u64::from(role.duration) / 3),
        SessionKey::Mfa { .. } | SessionKey::RoleWithMfa { .. } => 0,
    }
}
