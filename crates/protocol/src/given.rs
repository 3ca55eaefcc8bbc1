//! What is given out: credentials, live access, a way into the console, and what a shell is told of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Secret;

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
