//! `mfa-agent policy`.

use clap::{Args, Subcommand, ValueEnum};

/// `mfa-agent policy`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Policy {
    /// Print the policy, for a user or a group
    #[command(
        long_about = "Print the policy as AWS's IAM User Guide has it: whoever has it may do nothing without MFA but set a device up and get a session, and with MFA what other policies allow. It names nobody (${aws:username} is whoever calls), so it is the same for a user and a group.",
        after_long_help = "Examples:\n  mfa-agent policy print\n  mfa-agent policy print --variant device > policy.json\n  aws iam create-policy --policy-name require-mfa --policy-document \"$(mfa-agent policy print)\""
    )]
    Print(PolicyPrint),
}

/// `mfa-agent policy print`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct PolicyPrint {
    /// What it says
    #[command(flatten)]
    pub text: PolicyText,
    /// Whose ARNs it has
    #[arg(long, value_enum, default_value_t, value_name = "P")]
    pub partition: Partition,
}

/// Which of AWS's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct PolicyText {
    /// What users may manage of their own, with MFA
    #[arg(long, value_enum, default_value_t, value_name = "V")]
    pub variant: Variant,
}

/// What a policy lets users manage of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// Device, password, access keys, certificates, SSH and Git credentials
    #[default]
    Credentials,
    /// The device alone: others hand out the keys
    Device,
}

/// The worlds of AWS that share no accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Partition {
    /// All but those below
    #[default]
    Aws,
    /// China
    AwsCn,
    /// The government of the United States
    AwsUsGov,
    /// The European Sovereign Cloud
    AwsEusc,
}
