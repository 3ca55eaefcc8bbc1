//! A role and who may assume it.

use crate::world::Identity;

/// A role of the simulated AWS. [`Role::new`] has what most tests want; the rest is changed by
/// struct update: `Role { requires_mfa: false, ..Role::new("111122223333", "ops") }`.
#[derive(Clone, Debug)]
pub struct Role {
    /// The account the role lives in, 12 digits.
    pub account: String,
    /// Its name, a path in front if it has one (`team/ops`).
    pub name: String,
    /// Accounts whose users may assume it.
    pub trusted_accounts: Vec<String>,
    /// ARNs of roles whose sessions may assume it.
    pub trusted_roles: Vec<String>,
    /// Must the caller have given an MFA code?
    pub requires_mfa: bool,
    /// The external id a caller has to name.
    pub external_id: Option<String>,
    /// `MaxSessionDuration`.
    pub max_session_seconds: u32,
    /// Does its trust policy allow `sts:TagSession` and `sts:SetSourceIdentity`?
    pub takes_context: bool,
}

impl Role {
    /// A role for its own account's users with MFA, for an hour at most.
    pub fn new(account: &str, name: &str) -> Role {
        Role {
            account: account.to_owned(),
            name: name.to_owned(),
            trusted_accounts: vec![account.to_owned()],
            trusted_roles: Vec::new(),
            requires_mfa: true,
            external_id: None,
            max_session_seconds: 3_600,
            takes_context: false,
        }
    }

    /// `arn:aws:iam::ACCOUNT:role/NAME`
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }

    /// The name without its path, as the ARN of a session has it.
    pub(crate) fn bare_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    pub(crate) fn trusts(&self, identity: &Identity, mfa: bool, external_id: Option<&str>) -> bool {
        let known = match identity {
            Identity::User(user) => self.trusted_accounts.contains(&user.account),
            Identity::Role { arn, .. } => self.trusted_roles.contains(arn),
            Identity::Federated { .. } => false,
        };
        let named = self.external_id.as_deref().is_none_or(|wanted| external_id == Some(wanted));
        known && named && (mfa || !self.requires_mfa)
    }
}
