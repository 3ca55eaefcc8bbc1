//! The keyring of the operating system: where long-term keys lie that are in no file. Nothing of it is read before it
//! is needed, and nothing stays: each call opens the keyring and closes it again.

#[cfg(not(target_os = "macos"))]
mod cipher;
#[cfg_attr(target_os = "macos", path = "keyring/keychain.rs")]
#[cfg_attr(not(target_os = "macos"), path = "keyring/secret_service.rs")]
mod system;

use protocol::{KeyringProblem, KeyringState, Secret};

/// What lies in the keyring, by what it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// The secret of the long-term key with this id.
    AccessKey(&'a str),
    /// The seed of the MFA device with this serial number.
    Seed(&'a str),
}

/// Whether the person may be asked to unlock the keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlock {
    /// By the keyring's own dialog, for a minute.
    Ask,
    /// Nobody is there: a locked one is a refusal.
    Never,
}

/// What it is stored under, beside what tells the items apart.
const SERVICE: &str = "mfa-agent";

impl<'a> Item<'a> {
    /// The attributes it is found by: `secret-tool lookup service mfa-agent access-key-id AKIA…` finds the same.
    fn attribute(self) -> (&'static str, &'a str) {
        match self {
            Self::AccessKey(id) => ("access-key-id", id),
            Self::Seed(serial) => ("mfa-serial", serial),
        }
    }

    /// What people read in the keyring's own window.
    #[cfg(not(target_os = "macos"))]
    fn label(self) -> String {
        match self {
            Self::AccessKey(id) => format!("AWS secret access key of {id}"),
            Self::Seed(serial) => format!("Seed of the MFA device {serial}"),
        }
    }
}

/// Reads a secret.
pub async fn read(item: Item<'_>, unlock: Unlock) -> Result<Secret, KeyringProblem> {
    system::read(item, unlock).await?.ok_or(KeyringProblem::NotThere)
}

/// Stores a secret, in the place of what was there, and reads it back: what is not there afterwards was not stored.
pub async fn store(item: Item<'_>, secret: &Secret) -> Result<(), KeyringProblem> {
    system::store(item, secret).await?;
    match system::read(item, Unlock::Never).await? {
        Some(held) if held == *secret => Ok(()),
        _ => Err(KeyringProblem::Failed { detail: "it does not give back what it took".to_owned() }),
    }
}

/// Takes a secret out. False where there was none.
pub async fn forget(item: Item<'_>) -> Result<bool, KeyringProblem> {
    system::forget(item).await
}

/// The devices whose seeds are in it, by serial number; none where it does not tell. Asks nobody, and starts nothing.
pub async fn seeds() -> Option<Vec<String>> {
    system::seeds().await
}

/// Whether there is one, and whether it is open. Asks nobody, and starts nothing.
pub async fn state() -> KeyringState {
    system::state().await
}
