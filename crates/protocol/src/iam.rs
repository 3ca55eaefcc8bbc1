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

/// A call. Where a user can be named, none is the one whose key signs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IamCall {
    /// Whose key is it? Of STS, and no policy can deny it. Answered by [`IamAnswer::CallerIdentity`].
    GetCallerIdentity,
    /// Answered by [`IamAnswer::User`].
    GetUser {
        /// The user's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// The devices that a user has. Answered by [`IamAnswer::MfaDevices`].
    ListMfaDevices {
        /// The user's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
}

impl IamCall {
    /// The permission that the call needs, which is also its name in messages: `iam:GetUser`.
    pub fn action(&self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "sts:GetCallerIdentity",
            Self::GetUser { .. } => "iam:GetUser",
            Self::ListMfaDevices { .. } => "iam:ListMFADevices",
        }
    }
}

/// What came back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IamAnswer {
    /// To [`IamCall::GetCallerIdentity`].
    CallerIdentity(CallerIdentity),
    /// To [`IamCall::GetUser`].
    User(IamUser),
    /// To [`IamCall::ListMfaDevices`].
    MfaDevices(Vec<MfaDevice>),
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
