//! Why the agent says no: a type with fields. The client chooses words, hint and exit status.

use serde::{Deserialize, Serialize};

use crate::{KeyringItem, KeyringProblem};

/// Why the agent says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no MFA session, and this is what to ask for. To a client that can ask: it is its turn.
    NeedsMfa(Question),
    /// There is no MFA session, and another client is asking for it now.
    AskedElsewhere {
        /// The profile.
        profile: String,
    },
    /// The code is not [`crate::CODE_DIGITS`] ASCII digits.
    MalformedCode,
    /// AWS did not take the code: mistyped, too old, or used elsewhere.
    WrongCode {
        /// The device it should have come from.
        serial: String,
    },
    /// The agent itself sent this code before, and AWS takes each once.
    UsedCode {
        /// The device it came from.
        serial: String,
        /// Seconds until the device shows the next one.
        wait_seconds: u64,
    },
    /// It takes more than what is at hand, or cannot be had at all: to [`Ask::AtHand`](crate::Ask::AtHand) alone.
    NotAtHand,
    /// The agent is locked: nothing is given out.
    Locked,
    /// The agent is locked, and a code of this profile cannot unlock it: no session that is held rests on it.
    CannotUnlock {
        /// The profile.
        profile: String,
    },
    /// Too many wrong codes while locked: the next one is not looked at yet.
    TooManyCodes {
        /// Seconds until it is.
        wait_seconds: u64,
    },
    /// The profile's `mfa_process` gave no code that AWS took, and nobody else can be asked.
    MfaProcess(ProcessFailure),
    /// The seed in the keyring gave no code that AWS took, and nobody else can be asked.
    Seed(SeedFailure),
    /// What was to be stored is no seed of a device that AWS has.
    BadSeed {
        /// Why not.
        problem: String,
    },
    /// The person must say yes before this profile's credentials are given out, and did not.
    NotConfirmed {
        /// The profile.
        profile: String,
        /// What the person did.
        why: NoConsent,
    },
    /// The session shall last shorter or longer than STS allows.
    DurationOutOfBounds {
        /// What was asked for, in seconds.
        seconds: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// The credentials shall last longer than any of this profile can.
    LastsShorter {
        /// The profile.
        profile: String,
        /// How long they shall last, in seconds.
        seconds: u32,
        /// The most, in seconds.
        most: u32,
    },

    /// Neither the request nor the configuration names a profile.
    NoProfile,
    /// A role is named by its ARN, and neither the request nor the configuration names the profile to assume it from.
    NoSource {
        /// `role_arn`
        role_arn: String,
    },
    /// The AWS config files have no such profile.
    UnknownProfile {
        /// Its name.
        profile: String,
        /// The profile whose `source_profile` names it.
        named_by: Option<String>,
        /// The names most like it, best first.
        nearest: Vec<String>,
        /// The files that were read.
        files: Vec<String>,
    },
    /// A config file cannot be read or understood.
    Unparseable {
        /// The file.
        file: String,
        /// The line, counted from 1, where it is known.
        line: Option<u32>,
        /// What is wrong, without the line's text: it may hold a key.
        problem: String,
    },
    /// The agent was started without a home folder and knows no config files.
    NoHome,
    /// The profile has no long-term key and no role.
    NoKey {
        /// The profile, as the file names its section.
        section: String,
        /// The credentials file where it was looked for.
        file: String,
    },
    /// The profile has one half of a long-term key.
    HalfKey {
        /// The profile, as the file names its section.
        section: String,
        /// The setting that is missing.
        missing: String,
        /// The credentials file.
        file: String,
    },
    /// The profile's key is a temporary one, left there by another tool.
    TemporaryKey {
        /// The profile, as the file names its section.
        section: String,
    },
    /// The profile gets its credentials in a way that takes no MFA code.
    NotOurs {
        /// The profile.
        profile: String,
        /// The setting that says so, e.g. `sso_session`.
        setting: String,
    },
    /// `source_profile` comes back to where it began.
    SourceCycle {
        /// The profiles, in order, the first again at the end.
        profiles: Vec<String>,
    },
    /// A setting has a value that cannot work.
    BadSetting {
        /// The profile.
        profile: String,
        /// The setting.
        setting: String,
        /// Its value.
        value: String,
        /// What it must be.
        must: String,
    },
    /// A user's ARN stands where the device's belongs.
    SerialIsUser {
        /// The profile.
        profile: String,
        /// What was given.
        serial: String,
    },
    /// A FIDO key or passkey; STS takes none.
    SerialIsFido {
        /// The profile.
        profile: String,
        /// What was given.
        serial: String,
    },
    /// No serial is configured, and the user has no device.
    NoDevice {
        /// The profile.
        profile: String,
    },
    /// No serial is configured, and the user has several devices.
    SeveralDevices {
        /// The profile.
        profile: String,
        /// Their serials.
        serials: Vec<String>,
    },
    /// No serial is configured, and AWS does not let the key list the user's devices.
    DevicesNotListed {
        /// The profile.
        profile: String,
        /// AWS's words.
        message: String,
    },

    /// AWS answered, and it was no. It is told to all who waited for that call, unless it is about the code, which is
    /// [`Refusal::WrongCode`] to who sent it.
    Aws {
        /// What was called, e.g. `sts:GetSessionToken`.
        action: String,
        /// AWS's error code.
        code: String,
        /// AWS's words.
        message: String,
        /// What it means, where that is known.
        problem: AwsProblem,
    },
    /// AWS did not answer, or not in a way that can be understood. It is told to all who waited for that call.
    Network {
        /// What was called, e.g. `sts:GetSessionToken`.
        action: String,
        /// Where.
        endpoint: String,
        /// How it failed.
        problem: NetworkProblem,
        /// The lowest layer's words.
        detail: String,
        /// A code went out and may be used up.
        code_spent: bool,
    },

    /// The client speaks another protocol than the agent.
    Protocol {
        /// The agent's [`crate::PROTOCOL`].
        protocol: u32,
        /// The agent's release.
        version: String,
    },
    /// What came is no request.
    Malformed {
        /// Why, without the bytes.
        problem: String,
    },
    /// The agent starts anew: ask again. To who waits in line alone.
    Restarting,
    /// The agent could not start anew, and goes on as it is.
    NotRestarted {
        /// Why.
        problem: String,
    },
    /// Live access would be for nothing: the AWS files have a `[default]`, whose credentials every SDK takes first.
    DefaultWins {
        /// The setting that says where they come from.
        setting: String,
    },
    /// Live access cannot be given.
    NoLive {
        /// Why.
        problem: String,
    },
    /// No address on this machine can lead to the console.
    NoRedirect {
        /// Why.
        problem: String,
    },
    /// A granted socket gives out its profiles and does nothing else. The same to all that it does not do, whether
    /// or not there is such a profile.
    NotGranted {
        /// The profiles that it gives out.
        profiles: Vec<String>,
        /// The host of the agent, where everything else is done.
        host: String,
    },
    /// A granted socket has nothing for one of its profiles, and that cannot be changed from here.
    NotHere {
        /// The profile.
        profile: String,
        /// The host of the agent, where it can.
        host: String,
        /// Why.
        why: NotHere,
    },
    /// The grant of this socket is over: taken back, or its time is up.
    GrantOver,
    /// No socket can be granted.
    NoGrant {
        /// Why.
        problem: String,
    },
    /// The operating system's keyring did not do what was wanted of it.
    Keyring {
        /// What was wanted of it.
        item: KeyringItem,
        /// Why it did not.
        problem: KeyringProblem,
    },
    /// The agent would lose sessions by it.
    WouldForget {
        /// How many.
        sessions: usize,
    },
    /// A fault of the agent; its sessions are unharmed.
    Internal,
}

/// What to ask the person for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The profile it is for.
    pub profile: String,
    /// The MFA device.
    pub serial: String,
    /// The role that this code opens by itself, where a session of the user would be too short for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The endpoint that the code goes to, where it is not AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// There was a session, and it has expired.
    pub expired: bool,
    /// The profile's `mfa_process` was run, and this is why a person is asked all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_process: Option<ProcessFailure>,
    /// The seed in the keyring was to give the code, and this is why a person is asked all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Box<SeedFailure>>,
}

/// The seed of a device in the keyring gave no code that AWS took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedFailure {
    /// The device.
    pub serial: String,
    /// What went wrong.
    pub problem: SeedProblem,
}

/// Why the seed in the keyring gave no code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedProblem {
    /// It was not used: somebody else can write to the file that says so.
    NotYoursAlone {
        /// The file.
        file: String,
    },
    /// The keyring did not give it.
    Keyring(KeyringProblem),
    /// What the keyring gave is no seed.
    NoSeed,
    /// AWS did not take the code.
    WrongCode,
    /// Its code was used already, and so was the next one.
    UsedCode,
}

/// A profile's `mfa_process` gave no code that AWS took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFailure {
    /// The section that has the setting.
    pub section: String,
    /// The first word of the command; the rest may hold a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What went wrong.
    pub problem: ProcessProblem,
}

/// Why there is no consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoConsent {
    /// The person said no, here or just now for the same terminal.
    Denied,
    /// Nobody answered in time.
    Unanswered,
    /// There is no desktop, or no program that asks on it.
    NobodyToAsk,
    /// To [`crate::Request::Shell`], which asks nobody: nobody was asked yet for this terminal.
    NotAsked,
}

/// Why a granted socket has nothing for a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotHere {
    /// There is no session: a code is typed where the agent runs, and not here.
    NoSession,
    /// There was one, and it has expired.
    Expired,
    /// There is one, and it does not last as long as was asked for.
    TooShort,
    /// The agent is locked.
    Locked,
    /// The profile cannot work: what is wrong, the agent's own host is told.
    Configuration,
}

/// Why a program gave no code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessProblem {
    /// It was not run: somebody else can write to the file that names it.
    NotYoursAlone {
        /// The file.
        file: String,
    },
    /// It could not be run.
    NotStarted {
        /// The system's words.
        detail: String,
    },
    /// It ended with an exit status other than 0.
    Failed {
        /// The status.
        status: i32,
    },
    /// A signal ended it.
    Killed,
    /// It did not end in time, and was ended.
    TimedOut {
        /// How long it had, in seconds.
        seconds: u64,
    },
    /// What it wrote was no code of [`crate::CODE_DIGITS`] digits.
    NoCode,
    /// AWS did not take the code.
    WrongCode,
    /// The code was used before, and so was the next one.
    UsedCode,
}

/// What an answer of AWS's means for the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsProblem {
    /// The long-term key is unknown, inactive, deleted, or of another partition.
    KeyInvalid(KeyOrigin),
    /// The secret does not belong to the key id.
    SecretWrong(KeyOrigin),
    /// The serial is not a device of this user's.
    SerialNotYours {
        /// The serial.
        serial: String,
    },
    /// The clocks are too far apart for a signature to be taken.
    ClockSkew {
        /// AWS's clock minus this machine's, in seconds.
        seconds: i64,
    },
    /// The key is not allowed to assume the role.
    RoleDenied {
        /// The role.
        role_arn: String,
        /// The profile.
        profile: String,
    },
    /// The role's own maximum is shorter than what the profile asks for.
    RoleTooLong {
        /// The role.
        role_arn: String,
        /// What was asked for, in seconds.
        seconds: u32,
    },
    /// The user may not call `GetFederationToken`, which takes no code. A policy that denies everything without MFA
    /// denies it.
    FederationDenied {
        /// The profile.
        profile: String,
    },
    /// STS is not switched on for this region in this account.
    RegionDisabled,
    /// None of those.
    Other,
}

/// Where a long-term key was found. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOrigin {
    /// The last four characters of its id.
    pub last_four: String,
    /// The section that holds it.
    pub section: String,
    /// The credentials file.
    pub file: String,
    /// The section only names the key, which is in the operating system's keyring.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyring: bool,
}

/// How a call to AWS failed without an answer of AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkProblem {
    /// No connection: refused, no such host, no route.
    Unreachable,
    /// The other side's certificate is not trusted.
    Untrusted,
    /// Nothing came in time.
    TimedOut,
    /// AWS asked to slow down, past the retries.
    Throttled,
    /// AWS failed inside (5xx), past the retries.
    ServerError,
    /// The answer was none of AWS's.
    Unintelligible,
}
