//! Calls of IAM's that a client asks the agent to make, and what comes back: one variant a call, in order of name.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// What signs a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signed {
    /// The profile's long-term key alone: for what a policy that demands MFA lets through without it.
    LongTerm,
    /// A session that a code opened with the profile's long-term key and device.
    Session,
    /// A key that no file has yet, to prove that it works. The profile gives region and endpoint, and need not exist.
    Key {
        /// `AWS_ACCESS_KEY_ID`.
        access_key_id: String,
        /// `AWS_SECRET_ACCESS_KEY`.
        secret_access_key: Secret,
    },
}

/// Whose policies they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyHolder {
    /// A user, by name.
    User(String),
    /// A group, by name.
    Group(String),
}

/// A call. Where a user can be named, none is the one whose key signs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IamCall {
    /// Takes an inline policy away. Answered by [`IamAnswer::Done`].
    DeleteInlinePolicy {
        /// Whose it is.
        of: PolicyHolder,
        /// Its name.
        name: String,
    },
    /// Makes a virtual device, that is nobody's until it is enabled. Answered by [`IamAnswer::VirtualMfaDevice`].
    CreateVirtualMfaDevice {
        /// Its name, unique in the account.
        name: String,
    },
    /// Takes a device from a user. Answered by [`IamAnswer::Done`].
    DeactivateMfaDevice {
        /// The user's name.
        user: String,
        /// The device.
        serial: String,
    },
    /// Deletes a virtual device that nobody has. Answered by [`IamAnswer::Done`].
    DeleteVirtualMfaDevice {
        /// The device.
        serial: String,
    },
    /// Gives a device to a user. Answered by [`IamAnswer::Done`].
    EnableMfaDevice {
        /// The user's name.
        user: String,
        /// The device.
        serial: String,
        /// Two of its codes in a row, each [`crate::CODE_DIGITS`] ASCII digits.
        codes: [Secret; 2],
    },
    /// Make a new key of the caller's. Not to be repeated where the answer was lost. Answered by
    /// [`IamAnswer::NewAccessKey`].
    CreateAccessKey,
    /// Delete a key of the caller's. Answered by [`IamAnswer::Done`].
    DeleteAccessKey {
        /// The key.
        id: String,
    },
    /// When was a key used last? Answered by [`IamAnswer::LastUse`].
    GetAccessKeyLastUsed {
        /// The key.
        id: String,
    },
    /// Make a key of the caller's active or inactive. Answered by [`IamAnswer::Done`].
    UpdateAccessKey {
        /// The key.
        id: String,
        /// It signs.
        active: bool,
    },
    /// Whose key is it? Of STS, and no policy can deny it. Answered by [`IamAnswer::CallerIdentity`].
    GetCallerIdentity,
    /// Who is in a group. Answered by [`IamAnswer::Names`].
    GetGroup {
        /// Its name.
        group: String,
    },
    /// The text of an inline policy. Answered by [`IamAnswer::Document`].
    GetInlinePolicy {
        /// Whose it is.
        of: PolicyHolder,
        /// Its name.
        name: String,
    },
    /// Which version of a managed policy holds. Answered by [`IamAnswer::Version`].
    GetPolicy {
        /// Its ARN.
        arn: String,
    },
    /// The text of a managed policy. Answered by [`IamAnswer::Document`].
    GetPolicyVersion {
        /// The policy's ARN.
        arn: String,
        /// Such as `v1`.
        version: String,
    },
    /// Answered by [`IamAnswer::User`].
    GetUser {
        /// The user's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// The access keys that a user has. Answered by [`IamAnswer::AccessKeys`].
    ListAccessKeys {
        /// The user's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// The managed policies that are attached, by ARN. Answered by [`IamAnswer::Names`].
    ListAttachedPolicies {
        /// To whom.
        of: PolicyHolder,
    },
    /// The groups that a user is in. Answered by [`IamAnswer::Names`].
    ListGroupsForUser {
        /// The user's name.
        user: String,
    },
    /// The inline policies, by name. Answered by [`IamAnswer::Names`].
    ListInlinePolicies {
        /// Whose they are.
        of: PolicyHolder,
    },
    /// The devices that a user has. Answered by [`IamAnswer::MfaDevices`].
    ListMfaDevices {
        /// The user's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// The users of the account, the first of them: to see whether it may be called. Answered by
    /// [`IamAnswer::Names`].
    ListUsers,
    /// Gives an inline policy, or another one of that name. Answered by [`IamAnswer::Done`].
    PutInlinePolicy {
        /// Whose it shall be.
        of: PolicyHolder,
        /// Its name.
        name: String,
        /// JSON.
        document: String,
    },
    /// The virtual devices of the account that nobody has: made, and never enabled. Answered by
    /// [`IamAnswer::VirtualMfaDevices`].
    ListUnassignedMfaDevices {
        /// Only those whose name begins so.
        name: String,
    },
    /// Finds out how far a device's clock is off. Answered by [`IamAnswer::Done`].
    ResyncMfaDevice {
        /// The user's name.
        user: String,
        /// The device.
        serial: String,
        /// Two of its codes in a row, each [`crate::CODE_DIGITS`] ASCII digits.
        codes: [Secret; 2],
    },
}

impl IamCall {
    /// Whether it only looks: it can be made again, or be given up in the middle.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::GetAccessKeyLastUsed { .. }
            | Self::GetCallerIdentity
            | Self::GetGroup { .. }
            | Self::GetInlinePolicy { .. }
            | Self::GetPolicy { .. }
            | Self::GetPolicyVersion { .. }
            | Self::GetUser { .. }
            | Self::ListAccessKeys { .. }
            | Self::ListAttachedPolicies { .. }
            | Self::ListGroupsForUser { .. }
            | Self::ListInlinePolicies { .. }
            | Self::ListMfaDevices { .. }
            | Self::ListUnassignedMfaDevices { .. }
            | Self::ListUsers => true,
            Self::CreateAccessKey
            | Self::CreateVirtualMfaDevice { .. }
            | Self::DeactivateMfaDevice { .. }
            | Self::DeleteAccessKey { .. }
            | Self::DeleteInlinePolicy { .. }
            | Self::DeleteVirtualMfaDevice { .. }
            | Self::EnableMfaDevice { .. }
            | Self::PutInlinePolicy { .. }
            | Self::ResyncMfaDevice { .. }
            | Self::UpdateAccessKey { .. } => false,
        }
    }

    /// The permission that the call needs, which is also its name in messages: `iam:GetUser`.
    pub fn action(&self) -> &'static str {
        let either = |of: &PolicyHolder, user, group| match of {
            PolicyHolder::User(_) => user,
            PolicyHolder::Group(_) => group,
        };
        match self {
            Self::DeleteInlinePolicy { of, .. } => {
                either(of, "iam:DeleteUserPolicy", "iam:DeleteGroupPolicy")
            }
            Self::GetGroup { .. } => "iam:GetGroup",
            Self::GetInlinePolicy { of, .. } => either(of, "iam:GetUserPolicy", "iam:GetGroupPolicy"),
            Self::GetPolicy { .. } => "iam:GetPolicy",
            Self::GetPolicyVersion { .. } => "iam:GetPolicyVersion",
            Self::ListAccessKeys { .. } => "iam:ListAccessKeys",
            Self::ListAttachedPolicies { of } => {
                either(of, "iam:ListAttachedUserPolicies", "iam:ListAttachedGroupPolicies")
            }
            Self::ListGroupsForUser { .. } => "iam:ListGroupsForUser",
            Self::ListInlinePolicies { of } => either(of, "iam:ListUserPolicies", "iam:ListGroupPolicies"),
            Self::ListUsers => "iam:ListUsers",
            Self::PutInlinePolicy { of, .. } => either(of, "iam:PutUserPolicy", "iam:PutGroupPolicy"),
            Self::CreateVirtualMfaDevice { .. } => "iam:CreateVirtualMFADevice",
            Self::DeactivateMfaDevice { .. } => "iam:DeactivateMFADevice",
            Self::DeleteVirtualMfaDevice { .. } => "iam:DeleteVirtualMFADevice",
            Self::EnableMfaDevice { .. } => "iam:EnableMFADevice",
            Self::CreateAccessKey => "iam:CreateAccessKey",
            Self::DeleteAccessKey { .. } => "iam:DeleteAccessKey",
            Self::GetAccessKeyLastUsed { .. } => "iam:GetAccessKeyLastUsed",
            Self::UpdateAccessKey { .. } => "iam:UpdateAccessKey",
            Self::GetCallerIdentity => "sts:GetCallerIdentity",
            Self::GetUser { .. } => "iam:GetUser",
            Self::ListMfaDevices { .. } => "iam:ListMFADevices",
            Self::ListUnassignedMfaDevices { .. } => "iam:ListVirtualMFADevices",
            Self::ResyncMfaDevice { .. } => "iam:ResyncMFADevice",
        }
    }
}

/// What came back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IamAnswer {
    /// To [`IamCall::ListAccessKeys`].
    AccessKeys(Vec<UserKey>),
    /// It is done, and there is nothing to say.
    Done,
    /// A policy's text, as it was put: JSON.
    Document(String),
    /// Names, or ARNs.
    Names(Vec<String>),
    /// The version of a managed policy that holds.
    Version(String),
    /// To [`IamCall::GetAccessKeyLastUsed`]; none for a key that was never used.
    LastUse(Option<LastUse>),
    /// To [`IamCall::CreateAccessKey`].
    NewAccessKey(NewAccessKey),
    /// To [`IamCall::GetCallerIdentity`].
    CallerIdentity(CallerIdentity),
    /// To [`IamCall::GetUser`].
    User(IamUser),
    /// To [`IamCall::ListMfaDevices`].
    MfaDevices(Vec<MfaDevice>),
    /// To [`IamCall::CreateVirtualMfaDevice`].
    VirtualMfaDevice {
        /// Its ARN.
        serial: String,
        /// What its codes are made of, in base32. AWS gives it this once.
        seed: Secret,
    },
    /// To [`IamCall::ListUnassignedMfaDevices`]: their ARNs.
    VirtualMfaDevices(Vec<String>),
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerIdentity {
    /// The AWS account.
    pub account: String,
    /// `arn:aws:iam::ACCOUNT:user/PATH/NAME`, or that of a role's session, or of the account's root.
    pub arn: String,
}

impl CallerIdentity {
    /// The user's name; none for what is no IAM user.
    pub fn user(&self) -> Option<&str> {
        let (_, path) = self.arn.split_once(":user/")?;
        path.rsplit('/').next()
    }

    /// The partition of AWS: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// When a key was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// In seconds since the epoch.
    pub at: u64,
    /// For which service, as AWS names it: `sts`.
    pub service: String,
}

/// A long-term key that was just made. AWS says its secret this once.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewAccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// A user of IAM's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IamUser {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made, in seconds since the epoch.
    pub created_at: u64,
}

/// An access key of a user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKey {
    /// Its id.
    pub id: String,
    /// Whether it can be used.
    pub active: bool,
    /// When it was made, in seconds since the epoch.
    pub created_at: u64,
}

/// A device of a user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MfaDevice {
    /// Its ARN, or a hardware token's serial number.
    pub serial: String,
    /// When it was enabled, in seconds since the epoch.
    pub enabled_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_is_the_end_of_its_arn() {
        let named = |arn: &str| {
            let identity = CallerIdentity { account: String::new(), arn: arn.to_owned() };
            (identity.user().map(str::to_owned), identity.partition().to_owned())
        };
        let alice = Some("alice".to_owned());
        assert_eq!(named("arn:aws:iam::111122223333:user/alice"), (alice.clone(), "aws".to_owned()));
        assert_eq!(named("arn:aws-cn:iam::111122223333:user/team/a/alice"), (alice, "aws-cn".to_owned()));
        assert_eq!(named("arn:aws:iam::111122223333:root").0, None);
        assert_eq!(named("arn:aws:sts::111122223333:assumed-role/ops/me").0, None);
    }
}
