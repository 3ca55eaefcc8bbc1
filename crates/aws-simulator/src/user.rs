//! A user, as a test holds it.

use std::sync::Arc;

use crate::world::{Credential, CredentialKind, Device, UserName};
use crate::{State, locked, random};

/// A user of the simulated AWS, with its first access key.
#[derive(Clone)]
pub struct User {
    /// 12 digits.
    pub account: String,
    /// Such as `alice`.
    pub name: String,
    /// `arn:aws:iam::ACCOUNT:user/NAME`
    pub arn: String,
    /// The id of its first access key.
    pub access_key_id: String,
    /// The secret of its first access key.
    pub secret_access_key: String,
    pub(crate) state: Arc<State>,
}

impl User {
    /// Gives the user a virtual MFA device; its serial number is the ARN that comes back.
    pub fn device(&self, name: &str) -> String {
        self.add_device(format!("arn:aws:iam::{}:mfa/{name}", self.account))
    }

    /// Gives the user a hardware device with a serial number such as `GAHT12345678`.
    pub fn hardware_device(&self, serial: &str) -> String {
        self.add_device(serial.to_owned())
    }

    fn add_device(&self, serial: String) -> String {
        let device = Device {
            owner: self.user_name(),
            seed: random::seed(),
            enabled_at: self.state.clock.now(),
            last_accepted: None,
        };
        locked(&self.state.world).devices.insert(serial.clone(), device);
        serial
    }

    /// Gives the user another access key, any two strings.
    pub fn add_key(&self, access_key_id: &str, secret_access_key: &str) {
        let kind = CredentialKind::LongTerm {
            user: self.user_name(),
            active: true,
            created_at: self.state.clock.now(),
        };
        let credential = Credential { secret: secret_access_key.to_owned(), kind };
        locked(&self.state.world).credentials.insert(access_key_id.to_owned(), credential);
    }

    /// Is nearly all denied without MFA? So it is from the start.
    pub fn must_use_mfa(&self, must: bool) {
        if let Some(user) = locked(&self.state.world).users.get_mut(&self.user_name()) {
            user.must_use_mfa = must;
        }
    }

    /// Denies an action in any case, such as `iam:ListMFADevices`.
    pub fn deny(&self, permission: &str) {
        if let Some(user) = locked(&self.state.world).users.get_mut(&self.user_name()) {
            user.denied.insert(permission.to_owned());
        }
    }

    /// Takes a [`User::deny`] back.
    pub fn allow(&self, permission: &str) {
        if let Some(user) = locked(&self.state.world).users.get_mut(&self.user_name()) {
            user.denied.remove(permission);
        }
    }

    pub(crate) fn user_name(&self) -> UserName {
        UserName { account: self.account.clone(), name: self.name.clone() }
    }
}
