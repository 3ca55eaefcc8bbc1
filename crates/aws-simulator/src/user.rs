//! A user, as a test holds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::must_use_mfa;
use crate::policy::Document;
use crate::world::{Credential, CredentialKind, Device, GroupName, GroupRecord, Policies, UserName};
use crate::{State, locked, random};

/// The inline policy that denies nearly everything without MFA.
pub(crate) const MUST_USE_MFA: &str = "must-use-mfa";
/// AWS's own policy that allows everything.
pub(crate) const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

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
        let owner = Some((self.user_name(), self.state.clock.now()));
        let device = Device { owner, ..Device::new() };
        locked(&self.state.world).devices.insert(serial.clone(), device);
        serial
    }

    /// Gives the user another access key, any two strings.
    pub fn add_key(&self, access_key_id: &str, secret_access_key: &str) {
        let kind = CredentialKind::LongTerm {
            user: self.user_name(),
            active: true,
            created_at: self.state.clock.now(),
            last_used: None,
            unknown_for: 0,
        };
        let credential = Credential { secret: secret_access_key.to_owned(), kind };
        locked(&self.state.world).credentials.insert(access_key_id.to_owned(), credential);
    }

    /// The ids of its long-term keys, and whether each is active.
    pub fn keys(&self) -> Vec<(String, bool)> {
        let (world, user) = (locked(&self.state.world), self.user_name());
        let keys = world.credentials.iter().filter_map(|(id, credential)| match &credential.kind {
            CredentialKind::LongTerm { user: owner, active, .. } if *owner == user => {
                Some((id.clone(), *active))
            }
            _ => None,
        });
        keys.collect()
    }

    /// Is nearly all denied without MFA? So it is from the start, by an inline policy.
    pub fn must_use_mfa(&self, must: bool) {
        if must {
            self.put_policy(MUST_USE_MFA, &must_use_mfa());
        } else {
            self.delete_policy(MUST_USE_MFA);
        }
    }

    /// May the user do whatever no policy denies? So it is from the start, by an attached policy.
    pub fn may_do_everything(&self, may: bool) {
        self.change_policies(|policies| {
            if may {
                policies.attached.insert(ADMINISTRATOR_ACCESS.to_owned());
            } else {
                policies.attached.remove(ADMINISTRATOR_ACCESS);
            }
        });
    }

    /// Gives the user an inline policy, or another one of that name.
    pub fn put_policy(&self, name: &str, document: &str) {
        let document = Document::parse(document).unwrap_or_else(|failure| panic!("{}", failure.message));
        self.change_policies(|policies| {
            policies.inline.insert(name.to_owned(), document);
        });
    }

    /// Takes an inline policy away.
    pub fn delete_policy(&self, name: &str) {
        self.change_policies(|policies| {
            policies.inline.remove(name);
        });
    }

    /// The user's inline policy of that name.
    pub fn policy(&self, name: &str) -> Option<String> {
        let world = locked(&self.state.world);
        Some(world.users.get(&self.user_name())?.policies.inline.get(name)?.text.clone())
    }

    /// Attaches a managed policy of this account to the user; its ARN comes back.
    pub fn attach_policy(&self, name: &str, document: &str) -> String {
        let document = Document::parse(document).unwrap_or_else(|failure| panic!("{}", failure.message));
        let arn = format!("arn:aws:iam::{}:policy/{name}", self.account);
        locked(&self.state.world).managed.insert(arn.clone(), document);
        self.change_policies(|policies| {
            policies.attached.insert(arn.clone());
        });
        arn
    }

    /// Puts the user into a group, which is made where there is none.
    pub fn join(&self, group: &str) {
        let name = GroupName { account: self.account.clone(), name: group.to_owned() };
        let created_at = self.state.clock.now();
        let mut world = locked(&self.state.world);
        let group = world.groups.entry(name).or_insert_with(|| GroupRecord {
            id: random::identifier("AGPA"),
            created_at,
            members: BTreeSet::new(),
            policies: Policies::default(),
        });
        group.members.insert(self.user_name());
    }

    fn change_policies(&self, change: impl FnOnce(&mut Policies)) {
        if let Some(user) = locked(&self.state.world).users.get_mut(&self.user_name()) {
            change(&mut user.policies);
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
