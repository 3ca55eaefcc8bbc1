//! From a request to its reply: one `match`, each arm one call.

mod granted;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::{
    Ask, Envelope, KeyringCall, NotHere, PROTOCOL, Refusal, Reply, Request, ShellState, Status, frame,
};
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::journal::Peer;
use crate::platform;
use crate::profile;
use crate::sessions::{Claim, Lasting, Opened, Sessions};
use crate::traffic::Work;

/// How many bytes of a reply a list may take.
const LIST_BYTES: usize = frame::MAX_LINE / 4 * 3;

/// How much of a name goes into the log, in characters.
const NAME_IN_LOG: usize = 128;

/// What a request comes to.
#[derive(Debug)]
pub struct Outcome {
    /// What the client is told.
    pub reply: Reply,
    /// The client's right to ask, to be held as long as it is there.
    pub claim: Option<Box<Claim>>,
    /// The agent leaves once this is told.
    pub stop: bool,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self { reply, claim: None, stop: false }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Reply::Refused(refusal).into()
    }
}

/// The name of the socket that we serve.
#[derive(Debug)]
pub struct OwnSocket {
    path: PathBuf,
    /// The file; none once we took it away ourselves.
    file: Mutex<Option<(u64, u64)>>,
    /// A service manager listens on it too, before us and after us: the name is not ours to take away.
    managed: AtomicBool,
}

impl OwnSocket {
    /// The socket that was just made at a path.
    pub fn made(path: &Path) -> Self {
        Self::taken_over(path, Some(file_at(path)), false)
    }

    /// A socket that another process made, what its file was, and whether a service manager has it.
    pub fn taken_over(path: &Path, file: Option<(u64, u64)>, managed: bool) -> Self {
        let file = Mutex::new(Some(file.unwrap_or_default()));
        Self { path: path.to_owned(), file, managed: managed.into() }
    }

    /// Whether a service manager goes on listening on it after us.
    pub fn is_managed(&self) -> bool {
        self.managed.load(Ordering::Relaxed)
    }

    /// Its file; none where it was taken away.
    pub fn file_there(&self) -> Option<(u64, u64)> {
        *self.file()
    }

    /// It was made again, by us.
    pub fn made_again(&self) {
        *self.file() = Some(file_at(&self.path));
        self.managed.store(false, Ordering::Relaxed);
    }

    /// Somebody else took it away: nobody finds this agent, and it does not know.
    pub fn is_lost(&self) -> bool {
        let file = self.file();
        file.is_some() && platform::same_file(&self.path) != *file
    }

    /// Takes the name away: nobody finds this agent any more. Another agent's socket may be there by now, if
    /// somebody took ours away; that one stays. So does the name that a service manager made.
    pub fn withdraw(&self) {
        if self.is_hidden() {
            let _ = fs::remove_file(self.hidden());
        }
        let lost = self.is_lost();
        if self.file().take().is_some() && !lost && !self.is_managed() {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Takes the name away for a moment, so that nobody finds this agent. A service manager's stays.
    pub fn hide(&self) {
        if !self.is_managed() && !self.is_lost() {
            // What stays is found, and that is as it was.
            let _ = fs::rename(&self.path, self.hidden());
        }
    }

    /// Gives a hidden name back.
    pub fn show(&self) {
        if self.is_hidden() {
            // One that cannot come back is made again, as one that somebody took away.
            let _ = fs::rename(self.hidden(), &self.path);
        }
    }

    fn is_hidden(&self) -> bool {
        let file = self.file();
        file.is_some() && platform::same_file(&self.hidden()) == *file
    }

    fn hidden(&self) -> PathBuf {
        let mut hidden = self.path.clone().into_os_string();
        hidden.push(".leaving");
        hidden.into()
    }

    fn file(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file at a path; one that is gone again already is like no other.
pub fn file_at(path: &Path) -> (u64, u64) {
    platform::same_file(path).unwrap_or_default()
}

/// The program that this process runs.
#[derive(Debug)]
pub struct OwnProgram {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl OwnProgram {
    /// The one that was just started from here.
    pub fn started(path: &Path) -> Self {
        Self { path: path.to_owned(), file: platform::same_file(path) }
    }

    /// Another one lies there by now, or none.
    pub fn is_replaced(&self) -> bool {
        platform::same_file(&self.path) != self.file
    }
}

/// What this agent is.
#[derive(Debug)]
pub struct Identity {
    /// Its socket.
    pub socket: OwnSocket,
    /// Its program.
    pub program: OwnProgram,
    /// When it started.
    pub started: Instant,
}

/// Reads a request out of a line. One of another protocol is answered with ours, whatever it asks; leaving is
/// understood in all of them.
pub fn parse(line: &[u8]) -> Result<Request, Refusal> {
    #[derive(Deserialize)]
    struct AnyEnvelope {
        request: AnyRequest,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum AnyRequest {
        Stop {
            #[serde(default)]
            only_if_empty: bool,
        },
        Restart,
    }
    match parse_granted(line) {
        Err(other @ Refusal::Protocol { .. }) => match frame::decode::<AnyEnvelope>(line) {
            Ok(AnyEnvelope { request: AnyRequest::Stop { only_if_empty } }) => {
                Ok(Request::Stop { only_if_empty })
            }
            Ok(AnyEnvelope { request: AnyRequest::Restart }) => Ok(Request::Restart),
            Err(_) => Err(other),
        },
        parsed => parsed,
    }
}

/// The same for a line on a granted socket: there nothing is understood in another protocol.
pub fn parse_granted(line: &[u8]) -> Result<Request, Refusal> {
    #[derive(Deserialize)]
    struct Version {
        protocol: u32,
    }
    let malformed = |error: frame::FrameError| Refusal::Malformed { problem: error.to_string() };
    let version: Version = frame::decode(line).map_err(malformed)?;
    if version.protocol != PROTOCOL {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        return Err(Refusal::Protocol { protocol: PROTOCOL, version });
    }
    frame::decode::<Envelope>(line).map(|envelope| envelope.request).map_err(malformed)
}

/// Answers a request, and notes who asked for what.
pub async fn answer(
    sessions: &Arc<Sessions>,
    identity: &Identity,
    peer: &Peer,
    request: Request,
    work: &Work,
) -> Outcome {
    sessions.catch_up();
    if let Some(number) = peer.grant {
        return granted::answer(sessions, identity, peer, number, request).await.into();
    }
    let subject = subject(&request);
    let outcome = dispatch(sessions, identity, peer, request, work).await;
    if let Some(subject) = subject
        && !matches!(outcome.reply, Reply::Refused(Refusal::NotAtHand))
    {
        let event = format!("{subject}: {}", result(&outcome.reply));
        sessions.state().journal.note(Now::read(), peer, event);
    }
    outcome
}

async fn dispatch(
    sessions: &Arc<Sessions>,
    identity: &Identity,
    peer: &Peer,
    request: Request,
    work: &Work,
) -> Outcome {
    let answer = match request {
        Request::Credentials { profile, ask: Ask::AtHand, replaces, min_ttl, .. } => {
            let at_hand = sessions.at_hand(peer, profile.as_deref(), replaces.as_deref(), min_ttl).await;
            at_hand.map(Reply::Credentials).ok_or(Refusal::NotAtHand)
        }
        Request::Credentials { profile, ask, replaces, min_ttl, duration } => {
            let lasting = Lasting { duration, at_least: min_ttl };
            match sessions.credentials(peer, profile.as_deref(), ask, replaces.as_deref(), lasting).await {
                Ok(Opened::Ready(credentials)) => Ok(Reply::Credentials(credentials)),
                Ok(Opened::YourTurn(question, claim)) => {
                    return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::Live { profile, ask, replaces, own, min_ttl, duration } => {
            let lasting = Lasting { duration, at_least: min_ttl };
            match sessions.live(peer, profile.as_deref(), ask, replaces.as_deref(), own, lasting).await {
                Ok(Opened::Ready(live)) => Ok(Reply::Live(live)),
                Ok(Opened::YourTurn(question, claim)) => {
                    return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::Console { profile, ask, service, redirect } => {
            match sessions.console(peer, profile.as_deref(), ask, service.as_deref(), redirect).await {
                Ok(Opened::Ready(console)) => Ok(Reply::Console(console)),
                Ok(Opened::YourTurn(question, claim)) => {
                    return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::Iam { profile, call, signed, ask } => {
            match sessions.iam(peer, profile.as_deref(), &call, &signed, ask, || work.is_for_good()).await {
                Ok(Opened::Ready((profile, answer))) => Ok(Reply::Iam { profile, answer }),
                Ok(Opened::YourTurn(question, claim)) => {
                    return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::AwsMfa { wanted, ask, force, code } => {
            match sessions.aws_mfa(peer, &wanted, ask, force, code.as_ref()).await {
                Ok(Opened::Ready(credentials)) => Ok(Reply::Credentials(credentials)),
                Ok(Opened::YourTurn(question, claim)) => {
                    return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::Grant { profiles, duration } => {
            sessions.grant(&profiles, duration).await.map(Reply::Granted)
        }
        Request::Revoke { grants } => Ok(Reply::Revoked { grants: sessions.revoke(&grants) }),
        Request::Session { profile, ask, force, duration } => {
            match sessions.session(profile.as_deref(), ask, force, Lasting { duration, at_least: None }).await
            {
                Ok(Opened::Ready(session)) => Ok(Reply::Session(session)),
                Ok(Opened::YourTurn(question, claim)) => {
                    return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::Login { profile, code, duration, at_least } => {
            let session = sessions.login(profile.as_deref(), &code, Lasting { duration, at_least }).await;
            if session.is_ok() {
                sessions.consent(profile.as_deref(), peer).await;
            }
            session.map(Reply::Session)
        }
        Request::Shell { profile, live } => match sessions.may_keep(&profile, peer) {
            Ok(()) => sessions.shell(&profile, live, false).await.map(Reply::Shell),
            Err(refusal) => Err(refusal),
        },
        Request::Lock { wipe: false } => Ok(Reply::Locked { sessions: sessions.lock() }),
        Request::Lock { wipe: true } => {
            sessions.logout(&[], true).await.map(|(sessions, _)| Reply::Locked { sessions })
        }
        Request::Unlock { profile, ask } => match sessions.unlock(profile.as_deref(), ask).await {
            Ok(Opened::Ready(sessions)) => Ok(Reply::Unlocked { sessions }),
            Ok(Opened::YourTurn(question, claim)) => {
                return Outcome { claim: Some(claim), ..Refusal::NeedsMfa(question).into() };
            }
            Err(refusal) => Err(refusal),
        },
        Request::Logout { profiles, all } => {
            let ended = sessions.logout(&profiles, all).await;
            ended.map(|(sessions, grants)| Reply::LoggedOut { sessions, grants })
        }
        // It is the server's affair.
        Request::Restart => Err(Refusal::Internal),
        Request::Status => Ok(Reply::Status(status(sessions, identity))),
        Request::Sessions { after } => {
            let held = sessions.state().describe(Now::read());
            Ok(Reply::Sessions(as_many_as_fit(held.into_iter().skip(after))))
        }
        Request::Health => Ok(Reply::Health(sessions.health(identity.program.is_replaced()).await)),
        Request::Profiles { after } => sessions.files().await.map(|files| {
            let mut profiles = profile::list(&files, after.as_deref());
            let state = sessions.state();
            for profile in &mut profiles {
                profile.recent = state.recent.others_since(&profile.name);
            }
            Reply::Profiles(as_many_as_fit(profiles.into_iter()))
        }),
        Request::Given { profile } => sessions.given(&profile).await,
        Request::Sections { profiles } => {
            sessions.files().await.map(|files| Reply::Sections(profile::sections(&files, &profiles)))
        }
        Request::Keyring(call) => sessions.keyring(call).await.map(Reply::Keyring),
        Request::Log => {
            let latest_first = sessions.state().journal.latest().into_iter().rev();
            let mut entries = as_many_as_fit(latest_first);
            entries.reverse();
            Ok(Reply::Log(entries))
        }
        Request::Stop { only_if_empty } => {
            let held = sessions.state().would_be_lost(Now::read());
            if only_if_empty && (held > 0 || !sessions.state().sockets.is_empty()) {
                Err(Refusal::WouldForget { sessions: held })
            } else {
                // Before it is told: who is told can rely on it.
                identity.socket.withdraw();
                sessions.wipe();
                let reply = Reply::Stopping {
                    sessions: held,
                    pid: std::process::id(),
                    managed: identity.socket.is_managed(),
                };
                return Outcome { stop: true, ..reply.into() };
            }
        }
    };
    answer.map_or_else(Outcome::from, Outcome::from)
}

fn status(sessions: &Sessions, identity: &Identity) -> Status {
    let environment = sessions.environment();
    // One look at the lock each: within the expression below its guard would live to the end.
    let live = sessions.state().grants.address().map(|address| address.to_string());
    let grants = sessions.grants();
    let now = Now::read();
    let sockets = sessions.state().sockets.all(now);
    let held = sessions.state().describe(now);
    let count = held.len();
    let held = as_many_as_fit(held.into_iter());
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        pid: std::process::id(),
        uptime: identity.started.elapsed().as_secs(),
        socket: identity.socket.path.display().to_string(),
        environment: environment.shown().clone(),
        config_files: [environment.config_file(), environment.credentials_file()]
            .into_iter()
            .filter_map(|file| Some(file.ok()?.display().to_string()))
            .collect(),
        clock_skew: sessions.skew(),
        locked: sessions.is_locked(),
        memory: Some(sessions.memory()),
        replaced: identity.program.is_replaced(),
        waiting: sessions.waiting(),
        left_out: count - held.len(),
        sessions: held,
        live,
        grants,
        sockets,
    }
}

/// What the log says of a request; nothing of those that only look.
fn subject(request: &Request) -> Option<String> {
    let short = |name: &str| name.chars().take(NAME_IN_LOG).collect::<String>();
    let name = |profile: &Option<String>| short(profile.as_deref().unwrap_or("the default profile"));
    match request {
        Request::Credentials { profile, .. } => Some(format!("credentials of {}", name(profile))),
        Request::Console { profile, .. } => Some(format!("console of {}", name(profile))),
        Request::Iam { profile, call, .. } => Some(format!("{} for {}", call.action(), name(profile))),
        Request::AwsMfa { wanted, .. } => Some(format!("aws-mfa of {}", short(&wanted.profile))),
        Request::Session { profile, .. } => Some(format!("session of {}", name(profile))),
        Request::Login { profile, .. } => Some(format!("login to {}", name(profile))),
        Request::Live { profile, own: false, .. } => Some(format!("live access to {}", name(profile))),
        Request::Live { profile, .. } => Some(format!("live access to {} for one process", name(profile))),
        Request::Grant { profiles, .. } => Some(format!("grant of {}", short(&profiles.join(", ")))),
        Request::Revoke { grants } if grants.is_empty() => Some("end of live access".to_owned()),
        Request::Revoke { grants } => {
            let numbers: Vec<String> = grants.iter().map(u64::to_string).collect();
            Some(format!("end of grant {}", short(&numbers.join(", "))))
        }
        Request::Shell { profile, .. } => Some(format!("prompt with {}", short(profile))),
        Request::Lock { wipe: false } => Some("lock".to_owned()),
        Request::Lock { wipe: true } => Some("lock and wipe".to_owned()),
        Request::Unlock { .. } => Some("unlock".to_owned()),
        Request::Logout { all: true, .. } => Some("logout of all".to_owned()),
        Request::Logout { profiles, .. } => Some(format!("logout of {}", short(&profiles.join(", ")))),
        Request::Stop { .. } => Some("stop".to_owned()),
        Request::Keyring(KeyringCall::StoreKey { .. }) => Some("key into the keyring".to_owned()),
        Request::Keyring(KeyringCall::ForgetKey { .. }) => Some("key out of the keyring".to_owned()),
        Request::Keyring(KeyringCall::StoreSeed { .. }) => Some("seed into the keyring".to_owned()),
        Request::Keyring(KeyringCall::ForgetSeed { .. }) => Some("seed out of the keyring".to_owned()),
        Request::Keyring(KeyringCall::FindKey { .. }) => Some("key in the keyring".to_owned()),
        Request::Restart
        | Request::Status
        | Request::Sessions { .. }
        | Request::Health
        | Request::Profiles { .. }
        | Request::Given { .. }
        | Request::Sections { .. }
        | Request::Log => None,
    }
}

/// The first items, as many as fit a reply's line.
fn as_many_as_fit<T: Serialize>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut left = LIST_BYTES;
    items
        .take_while(|item| {
            let length = frame::encode(item).map_or(usize::MAX, |line| line.len());
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        })
        .collect()
}

fn result(reply: &Reply) -> Cow<'static, str> {
    let words = match reply {
        Reply::Granted(socket) => return format!("grant {}", socket.number).into(),
        Reply::Refused(refusal) => match refusal {
            Refusal::NotHere { why: NotHere::Configuration, .. } => "refused",
            Refusal::Locked | Refusal::NotHere { why: NotHere::Locked, .. } => "locked",
            Refusal::NeedsMfa(_) | Refusal::NotHere { .. } => "needs an MFA code",
            Refusal::AskedElsewhere { .. } => "asked elsewhere",
            Refusal::WrongCode { .. } => "the code was wrong",
            Refusal::UsedCode { .. } => "the code was used before",
            Refusal::CannotUnlock { .. } => "locked, and this code cannot unlock",
            Refusal::TooManyCodes { .. } => "locked, after too many wrong codes",
            Refusal::NotConfirmed { .. } => "not allowed by the person",
            Refusal::MfaProcess(_) => "mfa_process gave no code",
            Refusal::Seed(_) => "the seed gave no code",
            Refusal::Aws { .. } => "refused by AWS",
            Refusal::Network { .. } => "no answer from AWS",
            Refusal::Keyring { .. } => "the keyring did not",
            _ => "refused",
        },
        Reply::Shell(ShellState::Ready { .. }) => "credentials",
        Reply::Shell(ShellState::Live { .. }) => "live access",
        Reply::Shell(ShellState::Ended { .. }) => "no credentials",
        Reply::Session(session) if session.reused => "held already",
        Reply::Session(_) => "a new session",
        _ => "done",
    };
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_protocol_is_told_ours_and_can_still_stop_us() {
        assert!(matches!(
            parse(b"{\"protocol\":999,\"request\":{\"conjure\":{}}}"),
            Err(Refusal::Protocol { protocol: PROTOCOL, .. })
        ));
        assert!(matches!(
            parse(b"{\"protocol\":999,\"request\":{\"stop\":{\"gently\":true}}}"),
            Ok(Request::Stop { only_if_empty: false })
        ));
    }

    #[test]
    fn on_a_granted_socket_no_protocol_stops_us() {
        for request in ["\"restart\"", "{\"stop\":{}}"] {
            let line = format!("{{\"protocol\":999,\"request\":{request}}}");
            assert!(parse(line.as_bytes()).is_ok(), "{line}");
            assert!(matches!(parse_granted(line.as_bytes()), Err(Refusal::Protocol { .. })), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_malformed_and_not_quoted() {
        for line in
            [&b"hunter2"[..], b"{}", b"{\"protocol\":1,\"request\":{\"hunter2\":{}}}", b"\xff\xfe", b""]
        {
            match parse(line) {
                Err(Refusal::Malformed { problem }) => assert!(!problem.contains("hunter2"), "{problem}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
