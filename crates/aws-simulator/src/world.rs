//! What exists in the simulated AWS: users, keys, devices, roles, sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use std::cell::RefCell;

use crate::answer::Failure;
use crate::clock::Seconds;
use crate::policy::Document;
use crate::role::Role;
use crate::{random, totp};

#[derive(Default)]
pub(crate) struct World {
    pub(crate) users: BTreeMap<UserName, UserRecord>,
    /// Keys and sessions by access key id.
    pub(crate) credentials: BTreeMap<String, Credential>,
    /// MFA devices by serial number.
    pub(crate) devices: BTreeMap<String, Device>,
    /// Groups of users.
    pub(crate) groups: BTreeMap<GroupName, GroupRecord>,
    /// Managed policies by ARN.
    pub(crate) managed: BTreeMap<String, Document>,
    /// The statement that decided the call that is being carried out.
    pub(crate) decided_by: RefCell<Option<String>>,
    /// Roles by ARN.
    pub(crate) roles: BTreeMap<String, RoleRecord>,
    /// The names of accounts; one has one at most.
    pub(crate) aliases: BTreeMap<String, String>,
    /// The console's sign-in tokens: who they are for, and until when they can be used. Each can be once.
    pub(crate) sign_in_tokens: BTreeMap<String, (Identity, Seconds)>,
    /// How many requests a new key is not known to.
    pub(crate) new_keys_unknown_for: u32,
    /// What the next sessions get instead of random credentials.
    pub(crate) planted: VecDeque<Issued>,
}

/// A user is known by account and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserName {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl UserName {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.name)
    }
}

/// A group is known by account and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupName {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl GroupName {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:group/{}", self.account, self.name)
    }
}

pub(crate) struct GroupRecord {
    pub(crate) id: String,
    pub(crate) created_at: Seconds,
    pub(crate) members: BTreeSet<UserName>,
    pub(crate) policies: Policies,
}

/// The policies of a user or a group.
#[derive(Default)]
pub(crate) struct Policies {
    /// Its own, by name.
    pub(crate) inline: BTreeMap<String, Document>,
    /// The ARNs of managed ones.
    pub(crate) attached: BTreeSet<String>,
}

pub(crate) struct UserRecord {
    pub(crate) id: String,
    pub(crate) created_at: Seconds,
    pub(crate) policies: Policies,
    /// Actions denied in any case, such as `iam:ListMFADevices`.
    pub(crate) denied: BTreeSet<String>,
}

pub(crate) struct Credential {
    pub(crate) secret: String,
    pub(crate) kind: CredentialKind,
}

impl Credential {
    /// Whether it is a long-term key of this user's.
    pub(crate) fn is_key_of(&self, owner: &UserName) -> bool {
        matches!(&self.kind, CredentialKind::LongTerm { user, .. } if user == owner)
    }
}

pub(crate) enum CredentialKind {
    LongTerm {
        user: UserName,
        active: bool,
        created_at: Seconds,
        /// When, and for which service.
        last_used: Option<(Seconds, String)>,
        /// How many requests more are answered as if there were no such key: AWS needs a while to know a new one
        /// everywhere.
        unknown_for: u32,
    },
    Session {
        token: String,
        expires_at: Seconds,
        identity: Identity,
        mfa: bool,
    },
}

pub(crate) struct Device {
    /// Whose it is, and since when; nobody's before it is enabled.
    pub(crate) owner: Option<(UserName, Seconds)>,
    pub(crate) seed: Vec<u8>,
    /// By how many steps its clock is ahead, as `ResyncMFADevice` found.
    pub(crate) ahead: i64,
    pub(crate) last_accepted: Option<i64>,
}

impl Device {
    /// One that nobody has yet.
    pub(crate) fn new() -> Device {
        Device { owner: None, seed: random::seed(), ahead: 0, last_accepted: None }
    }

    pub(crate) fn is_of(&self, user: &UserName) -> bool {
        self.owner.as_ref().is_some_and(|(owner, _)| owner == user)
    }
}

pub(crate) struct RoleRecord {
    pub(crate) role: Role,
    pub(crate) id: String,
}

/// Credentials as handed out.
pub(crate) struct Issued {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
}

/// Who is calling.
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    /// Does it call with a session, and not with a long-term key?
    pub(crate) temporary: bool,
    /// Did that session begin with an MFA code?
    pub(crate) mfa: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    User(UserName),
    /// A role's session, by the role's ARN and the session's name.
    Role {
        arn: String,
        session_name: String,
        /// What goes on to every role assumed from here.
        inherited: Inherited,
    },
    /// A session of `GetFederationToken`: the user's account and the name it was given.
    Federated {
        account: String,
        name: String,
        /// Without a policy it may do nothing.
        with_policy: bool,
    },
}

/// What a role's session hands on: it cannot be changed by those behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inherited {
    pub(crate) source_identity: Option<String>,
    pub(crate) transitive_tags: BTreeMap<String, String>,
}

impl World {
    /// Begins a session; its credentials are the planted ones, if there are any.
    pub(crate) fn begin_session(&mut self, identity: Identity, mfa: bool, expires_at: Seconds) -> Issued {
        let issued = self.planted.pop_front().unwrap_or_else(|| Issued {
            access_key_id: random::identifier("ASIA"),
            secret_access_key: random::secret(),
            session_token: random::token(),
        });
        let token = issued.session_token.clone();
        let kind = CredentialKind::Session { token, expires_at, identity, mfa };
        let credential = Credential { secret: issued.secret_access_key.clone(), kind };
        self.credentials.insert(issued.access_key_id.clone(), credential);
        issued
    }

    /// Accepts a code of one of the user's devices, once.
    pub(crate) fn spend_code(
        &mut self,
        user: &UserName,
        serial: &str,
        code: &str,
        now: Seconds,
    ) -> Result<(), Failure> {
        let device = self.devices.get_mut(serial).filter(|device| device.is_of(user));
        let device = device.ok_or_else(Failure::wrong_serial)?;
        let current = totp::step_at(now) + device.ahead;
        let step = totp::accepted_step(&device.seed, device.last_accepted, code, current);
        device.last_accepted = Some(step.ok_or_else(Failure::wrong_code)?);
        Ok(())
    }

    /// The policies that say what a user may do, its groups' among them, each by its name.
    pub(crate) fn policies_of<'a>(
        &'a self,
        user: &'a UserName,
    ) -> impl Iterator<Item = (&'a str, &'a Document)> {
        let groups = self.groups.values().filter(|group| group.members.contains(user));
        let own = self.users.get(user).map(|record| &record.policies);
        own.into_iter().chain(groups.map(|group| &group.policies)).flat_map(|policies| {
            let inline = policies.inline.iter().map(|(name, document)| (name.as_str(), document));
            let attached = policies
                .attached
                .iter()
                .filter_map(|arn| Some((arn.rsplit('/').next().unwrap_or(arn), self.managed.get(arn)?)));
            inline.chain(attached)
        })
    }

    /// The ARN AWS shows for an identity.
    pub(crate) fn arn(&self, identity: &Identity) -> String {
        match identity {
            Identity::User(user) => user.arn(),
            Identity::Role { arn, session_name, .. } => {
                let role = self.roles.get(arn).map(|record| &record.role);
                let (account, name) =
                    role.map(|role| (role.account.as_str(), role.bare_name())).unwrap_or_default();
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session_name}")
            }
            Identity::Federated { account, name, .. } => {
                format!("arn:aws:sts::{account}:federated-user/{name}")
            }
        }
    }

    /// The unique id AWS shows for an identity.
    pub(crate) fn id(&self, identity: &Identity) -> String {
        match identity {
            Identity::User(user) => self.users.get(user).map(|user| user.id.clone()).unwrap_or_default(),
            Identity::Role { arn, session_name, .. } => {
                let id = self.roles.get(arn).map(|record| record.id.as_str()).unwrap_or_default();
                format!("{id}:{session_name}")
            }
            Identity::Federated { account, name, .. } => format!("{account}:{name}"),
        }
    }

    /// The account an identity belongs to.
    pub(crate) fn account(&self, identity: &Identity) -> String {
        match identity {
            Identity::User(user) => user.account.clone(),
            Identity::Role { arn, .. } => {
                self.roles.get(arn).map(|record| record.role.account.clone()).unwrap_or_default()
            }
            Identity::Federated { account, .. } => account.clone(),
        }
    }
}
