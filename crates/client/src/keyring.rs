//! The operating system's keyring, which the agent reads and writes.

use protocol::{KeyringCall, Reply, Request, Secret};

use crate::access_key::AccessKey;
use crate::agent::{Agent, unexpected};
use crate::failure::Failure;
use crate::message;

/// Puts a key into the keyring. When this returns, it was read back.
pub fn store(agent: &Agent, key: &AccessKey) -> Result<(), Failure> {
    let (id, secret) = (key.id().to_owned(), Secret::new(key.secret().expose().to_owned()));
    call(agent, KeyringCall::StoreKey { access_key_id: id, secret_access_key: secret })
}

/// Takes a key out of the keyring; none there is as good.
pub fn forget(agent: &Agent, id: &str) -> Result<(), Failure> {
    call(agent, KeyringCall::ForgetKey { access_key_id: id.to_owned() })
}

fn call(agent: &Agent, call: KeyringCall) -> Result<(), Failure> {
    match agent.ask(Request::Keyring(call), None)?.reply {
        Reply::Keyring(_) => Ok(()),
        Reply::Refused(refusal) => Err(message::refused(&refusal)),
        _ => Err(unexpected()),
    }
}
