//! macOS's keychain, by security-framework. Compiled in its own CI job; not run by the authors. The system asks by
//! itself, for a locked keychain and for a program that another one replaced.

use protocol::{KeyringProblem, KeyringState, Secret};
use security_framework::base::Error;
use security_framework::passwords::{
    PasswordOptions, delete_generic_password, generic_password, set_generic_password,
};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::{Item, SERVICE, Unlock};

/// `errSecItemNotFound`.
const NOT_FOUND: i32 = -25_300;

/// What the system answers where the person says no, or nobody can be asked: `errSecUserCanceled`, `errSecAuthFailed`,
/// `errSecInteractionNotAllowed`.
const NOT_UNLOCKED: [i32; 3] = [-128, -25_293, -25_308];

pub async fn read(item: Item<'_>, _unlock: Unlock) -> Result<Option<Secret>, KeyringProblem> {
    let account = account(item);
    let found = waiting(move || generic_password(PasswordOptions::new_generic_password(SERVICE, &account)));
    let Some(bytes) = found.await? else { return Ok(None) };
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| KeyringProblem::Failed { detail: "what it gives is no text".to_owned() })?;
    Ok(Some(Secret::new(text.to_owned())))
}

pub async fn store(item: Item<'_>, secret: &Secret) -> Result<(), KeyringProblem> {
    let (account, secret) = (account(item), secret.clone());
    waiting(move || set_generic_password(SERVICE, &account, secret.expose().as_bytes())).await.map(drop)
}

pub async fn forget(item: Item<'_>) -> Result<bool, KeyringProblem> {
    let account = account(item);
    let forgotten = waiting(move || delete_generic_password(SERVICE, &account)).await?;
    Ok(forgotten.is_some())
}

/// It is not searched: each look at an item may ask the person.
pub async fn seeds() -> Option<Vec<String>> {
    None
}

/// There always is one, and it asks by itself.
pub async fn state() -> KeyringState {
    KeyringState::Unlocked
}

fn account(item: Item<'_>) -> String {
    let (name, value) = item.attribute();
    format!("{name} {value}")
}

/// Off our only thread: the system waits for the person. None where there is no such item.
async fn waiting<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Option<T>, KeyringProblem> {
    match spawn_blocking(call).await {
        Ok(Ok(value)) => Ok(Some(value)),
        Ok(Err(error)) if error.code() == NOT_FOUND => Ok(None),
        Ok(Err(error)) if NOT_UNLOCKED.contains(&error.code()) => Err(KeyringProblem::Locked),
        Ok(Err(error)) => Err(KeyringProblem::Failed { detail: error.to_string() }),
        Err(_) => Err(KeyringProblem::Failed { detail: "the keychain failed".to_owned() }),
    }
}
