//! What people are shown: what the agent holds, what it is and rests on, what the AWS files offer. Nothing secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{KeyringState, Refusal};

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
    /// The account's name, in [`Reply::Status`](crate::Reply::Status), where IAM was asked for it: before the first notification of a session
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
    /// Seconds until the person is told of its end by a notification, in [`Reply::Status`](crate::Reply::Status); none where that was done,
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
    /// The agent's [`PROTOCOL`](crate::PROTOCOL).
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
    /// Nothing is given out until [`Request::Unlock`](crate::Request::Unlock).
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
    /// How many more there are than fit the line: [`Request::Sessions`](crate::Request::Sessions).
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
    /// How many other profiles' credentials were given out since its own were; none where its own never were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<u32>,
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
