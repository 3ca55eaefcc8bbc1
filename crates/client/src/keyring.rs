//! The operating system's keyring, which the agent reads and writes.

use protocol::{KeyringAnswer, KeyringCall, Reply, Request, Secret};

use crate::access_key::AccessKey;
use crate::agent::{Agent, unexpected};
use crate::failure::Failure;
use crate::message;

/// Puts a key into the keyring. When this returns, it was read back.
pub fn store(agent: &Agent, key: &AccessKey) -> Result<(), Failure> {
    let (id, secret) = (key.id().to_owned(), Secret::new(key.secret().expose().to_owned()));
    call(agent, KeyringCall::StoreKey { access_key_id: id, secret_access_key: secret }).map(drop)
}

/// Takes a key out of the keyring; none there is as good.
pub fn forget(agent: &Agent, id: &str) -> Result<(), Failure> {
    call(agent, KeyringCall::ForgetKey { access_key_id: id.to_owned() }).map(drop)
}

/// Puts the seed of a profile's device into the keyring. Returns the profile and the device.
pub fn store_seed(agent: &Agent, profile: Option<String>, seed: Secret) -> Result<(String, String), Failure> {
    device(call(agent, KeyringCall::StoreSeed { profile, seed })?)
}

/// Takes it out; none there is as good.
pub fn forget_seed(agent: &Agent, profile: Option<String>) -> Result<(String, String), Failure> {
    device(call(agent, KeyringCall::ForgetSeed { profile })?)
}

fn device(answer: KeyringAnswer) -> Result<(String, String), Failure> {
    match answer {
        KeyringAnswer::Device { profile, serial } => Ok((profile, serial)),
        KeyringAnswer::Done => Err(unexpected()),
    }
}

fn call(agent: &Agent, call: KeyringCall) -> Result<KeyringAnswer, Failure> {
    match agent.ask(Request::Keyring(call), None)?.reply {
        Reply::Keyring(answer) => Ok(answer),
        Reply::Refused(refusal) => Err(message::refused(&refusal)),
        _ => Err(unexpected()),
    }
}
