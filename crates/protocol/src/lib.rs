//! What the client and the agent must agree on: the words, how one becomes a line of bytes, and where
//! the agent listens. No sockets, no clock, no async. `docs/protocol.md` says the same for other programs.

pub mod address;
pub mod duration;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod iam;
mod keyring;
mod refusal;
pub mod role;
pub mod sanitize;
mod secret;

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

/// Temporary credentials and what a shell needs to know of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// The profile they belong to.
    pub profile: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Secret,
    /// When AWS stops taking them, by AWS's clock: RFC 3339, UTC, `Z`.
    pub expiration: String,
    /// The same moment by this machine's clock, in seconds since the epoch.
    pub expires_at: u64,
    /// The profile's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The region of the profile that the request said to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_region: Option<String>,
    /// File name of the lease in the folder `lease` beside the socket: it exists while all this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Further variables that the person's configuration sets with this profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// Live access: where a program gets a profile's credentials whenever it needs them, and what a shell needs to
/// know of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Live {
    /// The profile.
    pub profile: String,
    /// The grant's number.
    pub grant: u64,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub uri: String,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    pub token: Secret,
    /// When the session that a code opened ends, by AWS's clock: RFC 3339, UTC, `Z`.
    pub expiration: String,
    /// The same moment by this machine's clock, in seconds since the epoch.
    pub expires_at: u64,
    /// The profile's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The region of the profile that the request said to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_region: Option<String>,
    /// File name of the lease in the folder `lease` beside the socket: it exists while all this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Further variables that the person's configuration sets with this profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// A way into the AWS console.
#[derive(Debug, Serialize, Deserialize)]
pub struct Console {
    /// The profile.
    pub profile: String,
    /// The link, which signs in whoever has it; or the address that leads there once.
    pub url: Secret,
    /// For how long it can be opened, in seconds.
    pub opens_for: u32,
}

/// The control sequence by which a terminal shows a notification on its desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerminalNotification {
    /// `OSC 9`: of iTerm2 and Windows Terminal.
    Osc9,
    /// `OSC 777`: of rxvt-unicode, foot and terminals by VTE.
    Osc777,
    /// `OSC 99`: of kitty.
    Osc99,
}

/// What a shell that uses a profile needs to know.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShellState {
    /// There are credentials.
    Ready {
        /// These.
        credentials: Box<Credentials>,
        /// The session behind them ends in so many seconds, and this shell is the one that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_in: Option<u64>,
        /// How this shell's terminal is to be told besides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal: Option<TerminalNotification>,
        /// The person wants to be asked for a new one now.
        #[serde(default)]
        ask: bool,
    },
    /// Live access stands, and its session is there.
    Live {
        /// This.
        live: Box<Live>,
        /// As in `Ready`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_in: Option<u64>,
        /// As in `Ready`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal: Option<TerminalNotification>,
        /// As in `Ready`.
        #[serde(default)]
        ask: bool,
    },
    /// There are none.
    Ended {
        /// Why.
        reason: EndReason,
        /// File name of the lease that exists until there are some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<String>,
        /// Nobody was asked for a code yet, and the person wants to be.
        ask: bool,
        /// The host where that can be changed, where it cannot be from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
}

/// Why a shell has no credentials any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The session ran out.
    Expired,
    /// There is no session: it was forgotten, by `logout` or with the agent that held it.
    NoSession,
    /// The agent is locked.
    Locked,
    /// The person ended the live access that this shell had.
    Revoked,
}

/// What kind of session the agent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// `GetSessionToken` with an MFA code.
    Mfa,
    /// `AssumeRole` from an MFA session; renewed without a code while that lasts.
    Role,
    /// `AssumeRole` with an MFA code of its own, for a role that lasts longer than one hour.
    RoleWithMfa,
}

/// A held session. Holds nothing secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// How it was obtained.
    pub kind: SessionKind,
    /// The profiles that were served from it, in order of name.
    pub profiles: Vec<String>,
    /// The AWS account, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The account's name, in [`Reply::Status`], where IAM was asked for it: before the first notification of a session
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_alias: Option<String>,
    /// The MFA device, as STS knows it.
    pub serial: String,
    /// The role, for a role session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// When AWS stops taking it, by AWS's clock: RFC 3339, UTC, `Z`.
    pub expiration: String,
    /// The same moment by this machine's clock, in seconds since the epoch.
    pub expires_at: u64,
    /// Seconds left, by the agent's clock.
    pub seconds_left: u64,
    /// How long it was given for, in seconds.
    pub duration: u64,
    /// Seconds until the person is told of its end by a notification, in [`Reply::Status`]; none where that was done,
    /// and for roles, which need no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_notification: Option<u64>,
    /// It was there already: no code was used.
    #[serde(default)]
    pub reused: bool,
}

/// What the agent is and holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The agent's release.
    pub version: String,
    /// The agent's [`PROTOCOL`].
    pub protocol: u32,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// Its socket.
    pub socket: String,
    /// The settings it read from its environment at its start, by variable, nothing secret.
    pub environment: BTreeMap<String, String>,
    /// The AWS config files it reads.
    pub config_files: Vec<String>,
    /// AWS's clock minus this machine's, in seconds, from the latest reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<i64>,
    /// Nothing is given out until [`Request::Unlock`].
    #[serde(default)]
    pub locked: bool,
    /// How the key is kept under which sessions are held encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Its program was replaced since it started.
    #[serde(default)]
    pub replaced: bool,
    /// How many clients wait for a code to be typed, the asked ones included.
    #[serde(default)]
    pub waiting: usize,
    /// The sessions, MFA sessions before the roles that rest on them.
    pub sessions: Vec<Session>,
    /// How many more there are than fit the line: [`Request::Sessions`].
    #[serde(default)]
    pub left_out: usize,
    /// Where live access is served, `127.0.0.1:PORT`; nowhere without a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    /// The grants of live access, in order of number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// The granted sockets, in order of number. To who asks on one, that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<GrantedSocket>,
}

/// A socket that gives out a few profiles and takes no administration. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedSocket {
    /// The grant's number.
    pub number: u64,
    /// The profiles, in the order in which they were named.
    pub profiles: Vec<String>,
    /// The socket.
    pub socket: String,
    /// When it was granted, in seconds since the epoch.
    pub since: u64,
    /// When it ends, by this machine's clock, in seconds since the epoch.
    pub expires_at: u64,
    /// Seconds left, by the agent's clock.
    pub seconds_left: u64,
    /// When credentials were given out by it last, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
}

/// A grant of live access. Holds nothing secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// Its number.
    pub number: u64,
    /// The profile that it is for.
    pub profile: String,
    /// When it was given, in seconds since the epoch.
    pub since: u64,
    /// The process that it ends with; none where shells share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// That process's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// It was ended by `logout`, and tells who still asks.
    #[serde(default)]
    pub ended: bool,
}

/// What the agent rests on, as it is at this moment. Nothing secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Health {
    /// Its program was replaced since it started.
    #[serde(default)]
    pub replaced: bool,
    /// Why its own configuration cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Refusal>,
    /// The endpoints that are not AWS's own, by what names them: a variable, or `endpoint_url of PROFILE`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, String>,
    /// Why no notification can be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<String>,
    /// Why nobody can be asked on the desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompter: Option<String>,
    /// Why nobody tells it of what shall lock it (`lock_on`); none, too, where nothing shall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_on: Option<String>,
    /// Why no leases can be made, so that prompts ask once a minute instead of looking whether a file is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<String>,
    /// The operating system's keyring; none from an agent that does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<KeyringState>,
    /// The devices whose seeds are in the keyring, by serial number; none where it does not tell that of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<String>>,
}

/// How the key is kept under which sessions are held encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// In a page that is not swapped out.
    Locked,
    /// In one that the kernel cannot read either; while it is there the machine does not hibernate.
    Secret,
    /// In one that may be: the limit of locked memory forbids better.
    Swappable,
}

/// A profile of the AWS config files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its own region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The profile that it assumes its role from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_profile: Option<String>,
    /// The role it assumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The MFA device, where the files name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The files say that the seed of its MFA device is in the keyring.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyring_seed: bool,
    /// Why it cannot work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Refusal>,
}

/// What the AWS config files hold for SDKs to find. Nothing secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sections {
    /// The config file.
    pub config_file: String,
    /// The credentials file.
    pub credentials_file: String,
    /// The config file has a secret key in it, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keys_in_config: bool,
    /// The sections that exist, by name.
    pub sections: BTreeMap<String, Section>,
}

/// A section, both files taken together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Section {
    /// The last four characters of its access key's id, where it has a key with its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The last four characters of the id of its access key that is in the keyring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring_key: Option<String>,
    /// The key of the file has a session token.
    #[serde(default)]
    pub temporary: bool,
    /// Which of the settings it has by which SDKs get credentials in other ways.
    pub settings: Vec<String>,
}

/// One line of the agent's log: who asked for what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// Seconds since the epoch.
    pub at: u64,
    /// The process that asked, by the kernel's word; none where the agent acted by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its program, by the kernel's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The grant by whose socket it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<u64>,
    /// What it asked for and what it got. Nothing secret.
    pub event: String,
}
