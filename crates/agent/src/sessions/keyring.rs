//! Long-term keys that lie in the keyring of the operating system: opened for the call that needs them.

use protocol::{KeyringAnswer, KeyringCall, KeyringItem, KeyringProblem, Refusal, Secret};

use super::Sessions;
use super::resolve::Resolved;
use crate::keyring::{self, Item, Unlock};
use crate::profile::{ConfigFiles, LongTermKey, User, last_four};
use crate::totp::Seed;

/// One at a time asks the keyring, so that its dialog is there once.
const THE_KEYRING: &str = "the keyring";

impl Sessions {
    /// Opens a user's long-term key, wherever it lies.
    pub async fn open_key(
        &self,
        files: &ConfigFiles,
        user: &User,
        unlock: Unlock,
    ) -> Result<LongTermKey, Refusal> {
        if !user.origin.keyring {
            return files.open_key(&user.origin).await;
        }
        let item = Item::AccessKey(&user.key_id);
        let _alone = self.turnstile.enter(THE_KEYRING.to_owned()).await;
        let secret = keyring::read(item, unlock).await.map_err(|problem| refusal(item, problem))?;
        Ok(LongTermKey { id: user.key_id.clone(), secret })
    }

    /// Sees that a code would not be asked for in vain: that the keyring gives the key, for which the person may have to
    /// unlock it.
    pub(super) async fn unlock_key(&self, resolved: &Resolved) -> Result<(), Refusal> {
        let user = &resolved.plan.user;
        if user.origin.keyring {
            self.open_key(&resolved.files, user, Unlock::Ask).await?;
        }
        Ok(())
    }

    /// Opens the seed of a device.
    pub(super) async fn open_seed(&self, serial: &str, unlock: Unlock) -> Result<Secret, KeyringProblem> {
        let _alone = self.turnstile.enter(THE_KEYRING.to_owned()).await;
        keyring::read(Item::Seed(serial), unlock).await
    }

    /// Changes the keyring at a person's wish.
    pub async fn keyring(&self, call: KeyringCall) -> Result<KeyringAnswer, Refusal> {
        match call {
            KeyringCall::StoreSeed { profile, seed } => {
                Seed::parse(&seed).map_err(|problem| Refusal::BadSeed { problem: problem.to_owned() })?;
                let resolved = self.resolve(profile.as_deref()).await?;
                let item = Item::Seed(&resolved.serial);
                let _alone = self.turnstile.enter(THE_KEYRING.to_owned()).await;
                keyring::store(item, &seed).await.map_err(|problem| refusal(item, problem))?;
                self.state().no_code.clear();
                Ok(KeyringAnswer::Device { profile: resolved.plan.profile, serial: resolved.serial })
            }
            KeyringCall::ForgetSeed { profile } => {
                let resolved = self.resolve(profile.as_deref()).await?;
                let item = Item::Seed(&resolved.serial);
                let _alone = self.turnstile.enter(THE_KEYRING.to_owned()).await;
                keyring::forget(item).await.map_err(|problem| refusal(item, problem))?;
                Ok(KeyringAnswer::Device { profile: resolved.plan.profile, serial: resolved.serial })
            }
            call => self.keyring_key(&call).await,
        }
    }

    async fn keyring_key(&self, call: &KeyringCall) -> Result<KeyringAnswer, Refusal> {
        let _alone = self.turnstile.enter(THE_KEYRING.to_owned()).await;
        let (item, done) = match call {
            KeyringCall::StoreSeed { .. } | KeyringCall::ForgetSeed { .. } => return Err(Refusal::Internal),
            KeyringCall::StoreKey { access_key_id, secret_access_key } => {
                let item = Item::AccessKey(access_key_id);
                (item, keyring::store(item, secret_access_key).await)
            }
            KeyringCall::ForgetKey { access_key_id } => {
                let item = Item::AccessKey(access_key_id);
                (item, keyring::forget(item).await.map(drop))
            }
            KeyringCall::FindKey { access_key_id } => {
                let item = Item::AccessKey(access_key_id);
                (item, keyring::read(item, Unlock::Ask).await.map(drop))
            }
        };
        done.map(|()| KeyringAnswer::Done).map_err(|problem| refusal(item, problem))
    }
}

fn refusal(item: Item<'_>, problem: KeyringProblem) -> Refusal {
    let item = match item {
        Item::AccessKey(id) => KeyringItem::AccessKey { last_four: last_four(id) },
        Item::Seed(serial) => KeyringItem::Seed { serial: serial.to_owned() },
    };
    Refusal::Keyring { item, problem }
}
