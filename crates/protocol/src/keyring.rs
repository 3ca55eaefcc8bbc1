//! What is asked of the operating system's keyring, and what it says.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// A change in the keyring, or a look into it. What lies there is never given out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyringCall {
    /// Put a long-term key in, and read it back. A locked keyring asks the person first. Answered by
    /// [`KeyringAnswer::Done`].
    StoreKey {
        /// Its id.
        access_key_id: String,
        /// The secret.
        secret_access_key: Secret,
    },
    /// Take a long-term key out. Answered by [`KeyringAnswer::Done`], also where there was none.
    ForgetKey {
        /// Its id.
        access_key_id: String,
    },
    /// Put the seed of a profile's MFA device in, after a look at whether it is one, and read it back. Answered by
    /// [`KeyringAnswer::Device`], or refused by [`crate::Refusal::BadSeed`].
    StoreSeed {
        /// The profile; none for the default one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// Base32, or an `otpauth://totp/` line.
        seed: Secret,
    },
    /// Take the seed of a profile's MFA device out. Answered by [`KeyringAnswer::Device`], also where there was none.
    ForgetSeed {
        /// The profile; none for the default one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
    },
    /// Can this long-term key be read? A locked keyring asks the person first. Answered by [`KeyringAnswer::Done`], or
    /// a refusal with [`KeyringProblem::NotThere`].
    FindKey {
        /// Its id.
        access_key_id: String,
    },
}

/// To a [`KeyringCall`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyringAnswer {
    /// As it was asked.
    Done,
    /// As it was asked, for this profile and device.
    Device {
        /// The profile.
        profile: String,
        /// The device.
        serial: String,
    },
}

/// What was wanted of the keyring. Nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyringItem {
    /// A long-term key.
    AccessKey {
        /// The last four characters of its id.
        last_four: String,
    },
    /// The seed of an MFA device.
    Seed {
        /// The device.
        serial: String,
    },
}

/// Why the keyring did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyringProblem {
    /// There is no keyring here: no bus, or no service on it.
    NoService {
        /// The system's words.
        detail: String,
    },
    /// It is locked, and the person was not asked, or did not unlock it.
    Locked,
    /// It is open, and has no such thing.
    NotThere,
    /// It did not answer in time.
    Silent,
    /// It answered with an error.
    Failed {
        /// Its words.
        detail: String,
    },
}

/// How the keyring is at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyringState {
    /// What lies in it can be read.
    Unlocked,
    /// Only after the person's password.
    Locked,
    /// There is none that can be used.
    Missing {
        /// Why.
        detail: String,
    },
}
