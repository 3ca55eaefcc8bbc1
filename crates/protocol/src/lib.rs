//! What the client and the agent must agree on: the words, how one becomes a line of bytes, and where
//! the agent listens. No sockets, no clock, no async. `docs/protocol.md` says the same for other programs.

pub mod address;
mod described;
pub mod duration;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod given;
mod iam;
mod keyring;
mod refusal;
pub mod role;
pub mod sanitize;
mod secret;

pub use described::{
    Grant, GrantedSocket, Health, LogEntry, Memory, Profile, Section, Sections, Session, SessionKind, Status,
};
pub use given::{Console, Credentials, EndReason, Live, ShellState, TerminalNotification};
pub use iam::{
    CallerIdentity, IamAnswer, IamCall, IamUser, LastUse, MfaDevice, NewAccessKey, PolicyHolder, Signed,
    UserKey,
};
pub use keyring::{KeyringAnswer, KeyringCall, KeyringItem, KeyringProblem, KeyringState};
pub use refusal::{
    AwsProblem, KeyOrigin, NetworkProblem, NoConsent, NotHere, ProcessFailure, ProcessProblem, Question,
    Refusal, SeedFailure, SeedProblem,
};
pub use role::NamedRole;
pub use secret::Secret;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The protocol's number, sent with every request. Raise it by hand, by one, when a program that speaks the
/// old number would misunderstand the new; an added optional field does not need it.
pub const PROTOCOL: u32 = 1;

/// How many digits an MFA code has (IAM `TokenCode`).
pub const CODE_DIGITS: usize = 6;

/// What `GetSessionToken` accepts as `DurationSeconds`.
pub const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 900..=129_600;

/// How long a granted socket may stand, in seconds.
pub const GRANT_SECONDS: std::ops::RangeInclusive<u32> = 60..=2_592_000;

/// How long it stands unless somebody says otherwise, in seconds: as long as an MFA session.
pub const DEFAULT_GRANT_SECONDS: u32 = 43_200;

/// How many seconds the person can allow one call of the agent's to AWS: a client waits for longer than for any of
/// them.
pub const CALL_SECONDS: std::ops::RangeInclusive<u32> = 1..=60;

/// One line from the client: the protocol's number and what is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The client's [`PROTOCOL`].
    pub protocol: u32,
    /// What is asked.
    pub request: Request,
}

/// What `mfa-agentd --report` writes on its stdout, one line, before it lets go of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartReport {
    /// The socket takes connections.
    Listening {
        /// The agent's process.
        pid: u32,
    },
    /// Another agent of this user holds the lock.
    AlreadyRunning,
    /// It will not start.
    Failed {
        /// What failed, with which thing.
        problem: String,
        /// What to do about it.
        hint: String,
    },
}

/// What a client can ask. One request and one reply a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Give me the credentials of a profile. Answered by [`Reply::Credentials`].
    Credentials {
        /// The profile, or the configured default one.
        profile: Option<String>,
        /// What this client does if a code is needed.
        ask: Ask,
        /// The profile whose variables the shell holds now (`MFA_AGENT_PROFILE`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
        /// They must last this long, in seconds: what is held and ends earlier is renewed first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_ttl: Option<u32>,
        /// How long a session shall last that the profile's `mfa_process` opens, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u32>,
    },
    /// Is there an MFA session for a profile? Answered by [`Reply::Session`].
    Session {
        /// The profile, or the configured default one.
        profile: Option<String>,
        /// What this client does if a code is needed.
        ask: Ask,
        /// A session that is held already does not count: a new one is wanted.
        #[serde(default)]
        force: bool,
        /// How long a session shall last that the profile's `mfa_process` opens, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u32>,
    },
    /// Here is a code: open a new MFA session with it. Answered by [`Reply::Session`].
    Login {
        /// The profile, or the configured default one.
        profile: Option<String>,
        /// The MFA code, [`CODE_DIGITS`] ASCII digits.
        code: Secret,
        /// How long the session shall last, in seconds; else what the configuration says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u32>,
        /// Where nobody names a duration, it shall last at least this long, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<u32>,
    },
    /// Let programs get the credentials of a profile over HTTP, by the SDKs' container protocol. Answered by
    /// [`Reply::Live`].
    Live {
        /// The profile, or the configured default one.
        profile: Option<String>,
        /// What this client does if a code is needed.
        ask: Ask,
        /// The profile whose variables the shell holds now (`MFA_AGENT_PROFILE`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
        /// A grant of this process's own, that ends with it; else one that the profile's shells share.
        #[serde(default)]
        own: bool,
        /// The session that a code opens must last this long, in seconds: one that ends earlier is renewed first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_ttl: Option<u32>,
        /// How long a session shall last that the profile's `mfa_process` opens, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u32>,
    },
    /// Make a further socket, which gives out these profiles and takes no administration: for another host or a
    /// container. Answered by [`Reply::Granted`].
    Grant {
        /// The profiles; the first is the one that counts where none is named.
        profiles: Vec<String>,
        /// How long the socket stands, in seconds within [`GRANT_SECONDS`]; else [`DEFAULT_GRANT_SECONDS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u32>,
    },
    /// End grants of live access, and granted sockets. Answered by [`Reply::Revoked`].
    Revoke {
        /// Their numbers; none for all of live access.
        grants: Vec<u64>,
    },
    /// Give me a link that signs in to the AWS console with a profile. Answered by [`Reply::Console`].
    Console {
        /// The profile, or the configured default one.
        profile: Option<String>,
        /// What this client does if a code is needed.
        ask: Ask,
        /// The console's page: a service as the console's addresses name it; else its start page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// Give an address on this machine that leads there once, in the place of the link: it is for the argument
        /// list of a browser, which everybody can see.
        #[serde(default)]
        redirect: bool,
    },
    /// Give me credentials as aws-mfa's options and sections describe them. Answered by [`Reply::Credentials`],
    /// without a lease.
    AwsMfa {
        /// Which.
        wanted: AwsMfa,
        /// What this client does if a code is needed.
        ask: Ask,
        /// What is held already does not count: new ones are wanted.
        #[serde(default)]
        force: bool,
        /// The MFA code, where it is there: a new session is opened with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Secret>,
    },
    /// Call IAM with a profile's key. Answered by [`Reply::Iam`].
    Iam {
        /// The profile, or the configured default one.
        profile: Option<String>,
        /// What to call.
        call: IamCall,
        /// What signs it.
        signed: Signed,
        /// What this client does if a code is needed, for [`Signed::Session`].
        ask: Ask,
    },
    /// What has become of a profile since a shell was told of it? Asked by the prompt's hook; answered at
    /// once, without a call to AWS, by [`Reply::Shell`].
    Shell {
        /// The shell's profile (`MFA_AGENT_PROFILE`).
        profile: String,
        /// The shell has live access (`MFA_AGENT_LIVE`).
        #[serde(default)]
        live: bool,
    },
    /// Give nothing out until it is proved who asks. Answered by [`Reply::Locked`].
    Lock {
        /// Forget everything instead.
        #[serde(default)]
        wipe: bool,
    },
    /// Give out again. Where sessions are locked, a [`Request::Login`] with a code of one of them proves who asks:
    /// it is asked for as for a session ([`Refusal::NeedsMfa`]). Answered by [`Reply::Unlocked`].
    Unlock {
        /// A profile of a held session; else the one that was used last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// What this client does if a code is needed.
        ask: Ask,
    },
    /// Forget the sessions behind these profiles, or all. Answered by [`Reply::LoggedOut`].
    Logout {
        /// The profiles, none for the configured default one; ignored with `all`.
        profiles: Vec<String>,
        /// Every session.
        all: bool,
    },
    /// What do you hold? Answered by [`Reply::Status`].
    Status,
    /// Which sessions did the status leave out? Answered by [`Reply::Sessions`], as many as fit a line: ask again
    /// behind the last one, until there are none.
    Sessions {
        /// How many are known already.
        after: usize,
    },
    /// Does all work that you rest on? Answered by [`Reply::Health`], without a call to AWS.
    Health,
    /// What do the AWS config files offer? Answered by [`Reply::Profiles`], as many as fit a line: ask again
    /// after the last one, until there are none.
    Profiles {
        /// The name after which to go on, in order of name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// What does `env` set for a profile beside credentials? Answered by [`Reply::Given`].
    Given {
        /// The profile.
        profile: String,
    },
    /// What do the AWS config files hold for SDKs to find in these sections? Answered by [`Reply::Sections`].
    Sections {
        /// Their names, without `profile `.
        profiles: Vec<String>,
    },
    /// Change the operating system's keyring, or look into it. Answered by [`Reply::Keyring`].
    Keyring(KeyringCall),
    /// Who asked for what? Answered by [`Reply::Log`].
    Log,
    /// Start anew, and lose nothing. Understood whatever the protocol's number. Answered by [`Reply::Restarted`].
    Restart,
    /// Wipe everything and leave. Understood whatever the protocol's number. Answered by [`Reply::Stopping`].
    Stop {
        /// Leave only if no session would be lost.
        #[serde(default)]
        only_if_empty: bool,
    },
}

/// What aws-mfa's options and sections say, in the place of the profile's own settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AwsMfa {
    /// The profile, whose region and endpoint count.
    pub profile: String,
    /// The section that holds the long-term key.
    pub key_section: String,
    /// The MFA device; else what the files say, else the user's only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The role to assume; none for a session of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// `RoleSessionName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_session_name: Option<String>,
    /// How long the credentials shall last, in seconds; else what is configured, and for a role one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
}

/// What the client does if a code is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Nothing, and it wants no more than what is at hand: nothing is called, awaited or asked for its sake. To it
    /// every refusal is a [`Refusal::NotAtHand`], which the log leaves out: the client asks again in another way.
    /// Of [`Request::Credentials`]; elsewhere the same as [`Ask::Never`].
    AtHand,
    /// Nothing: answer at once.
    Never,
    /// It has nobody to ask, but waits while another client asks.
    Wait,
    /// It can ask a person, but does not stand in line: where another client asks, it is told so
    /// ([`Refusal::AskedElsewhere`]). What the prompt's hook does.
    PersonUnlessAsked,
    /// It can ask a person. A [`Refusal::NeedsMfa`] to it means "your turn": until it closes the
    /// connection, everybody else who needs this session waits. The agent closes the connection when the
    /// session came from elsewhere.
    Person,
}

/// The one answer to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Credentials`].
    Credentials(Credentials),
    /// To [`Request::Live`].
    Live(Live),
    /// To [`Request::Console`].
    Console(Console),
    /// To [`Request::Iam`].
    Iam {
        /// The profile whose key signed: the one that was asked for, or the one that it assumes its role from.
        profile: String,
        /// What came back.
        answer: IamAnswer,
    },
    /// To [`Request::Grant`].
    Granted(GrantedSocket),
    /// To [`Request::Revoke`].
    Revoked {
        /// How many grants were ended.
        grants: usize,
    },
    /// To [`Request::Session`] and [`Request::Login`].
    Session(Session),
    /// To [`Request::Shell`].
    Shell(ShellState),
    /// To [`Request::Lock`].
    Locked {
        /// How many MFA sessions are locked, or were forgotten.
        sessions: usize,
    },
    /// To [`Request::Unlock`].
    Unlocked {
        /// How many MFA sessions are given out again.
        sessions: usize,
    },
    /// To [`Request::Logout`].
    LoggedOut {
        /// How many MFA sessions were forgotten.
        sessions: usize,
        /// How many grants of live access ended with them.
        #[serde(default)]
        grants: usize,
    },
    /// To [`Request::Sessions`].
    Sessions(Vec<Session>),
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Health`].
    Health(Health),
    /// To [`Request::Profiles`].
    Profiles(Vec<Profile>),
    /// To [`Request::Given`].
    Given {
        /// The profile's region.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// The variables that the person's configuration sets with it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, String>,
    },
    /// To [`Request::Sections`].
    Sections(Sections),
    /// To [`Request::Keyring`].
    Keyring(KeyringAnswer),
    /// To [`Request::Log`], oldest first.
    Log(Vec<LogEntry>),
    /// To [`Request::Restart`].
    Restarted {
        /// How many MFA sessions were handed over.
        sessions: usize,
        /// The new process.
        pid: u32,
    },
    /// To [`Request::Stop`].
    Stopping {
        /// How many MFA sessions are lost by it.
        sessions: usize,
        /// The agent's process.
        pid: u32,
        /// A service manager goes on listening on the socket, and starts an agent for the next who asks.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        managed: bool,
    },
    /// No, and why.
    Refused(Refusal),
}
