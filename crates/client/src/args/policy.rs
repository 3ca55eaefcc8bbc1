//! `mfa-agent policy`.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::{Code, WHICH_PROFILE};

/// `mfa-agent policy`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Policy {
    /// Print the policy, for a user or a group
    #[command(
        long_about = "Print the policy as AWS's IAM User Guide has it: whoever has it may do nothing without MFA but set a device up and get a session, and with MFA what other policies allow. It names nobody (${aws:username} is whoever calls), so it is the same for a user and a group.",
        after_long_help = "Examples:\n  mfa-agent policy print\n  mfa-agent policy print --variant device > policy.json\n  aws iam create-policy --policy-name require-mfa --policy-document \"$(mfa-agent policy print)\""
    )]
    Print(PolicyPrint),
    /// Prove by calls, with MFA and without, whether the policy is in force
    #[command(
        long_about = "Prove by calls, with MFA and without, whether the policy is in force, and say which statement decides where IAM lets the user read its policies. The calls only look.",
        after_help = "Exit status: 0 where it is in force, 1 where it is not.",
        after_long_help = "Exit status: 0 where it is in force, 1 where it is not.\n\nExamples:\n  mfa-agent policy check dev\n  mfa-agent policy check dev --json | jq .calls"
    )]
    Check(PolicyCheck),
    /// Give the policy to a user or a group
    #[command(
        long_about = "Give the policy to a user or a group, as an inline policy, after a look at it. Without --user and --group it is the profile's own user.\n\nWho has no MFA device could do nothing any more but add one; so that is refused unless --force says otherwise.",
        after_long_help = "Examples:\n  mfa-agent policy attach --profile dev\n  mfa-agent policy attach --profile admin --group developers\n  mfa-agent policy attach --profile admin --user alice --variant device --yes"
    )]
    Attach(PolicyAttach),
    /// Take it away again
    #[command(after_long_help = "Example:\n  mfa-agent policy detach --profile admin --user alice")]
    Detach(PolicyChange),
}

/// `mfa-agent policy check`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct PolicyCheck {
    /// The profile.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// The code, if one is needed
    #[command(flatten)]
    pub code: Code,
}

/// `mfa-agent policy attach`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct PolicyAttach {
    /// What it says
    #[command(flatten)]
    pub text: PolicyText,
    /// To whom, and how
    #[command(flatten)]
    pub change: PolicyChange,
    /// Attach it even where somebody has no MFA device
    #[arg(long)]
    pub force: bool,
}

/// Whose policy is changed, and how.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct PolicyChange {
    /// The user; else the profile's own
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "group")]
    pub user: Option<String>,
    /// The group
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub group: Option<String>,
    /// The policy's name
    #[arg(long, value_name = "NAME", default_value = "require-mfa", value_parser = NonEmptyStringValueParser::new())]
    pub policy: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// The code, if one is needed
    #[command(flatten)]
    pub code: Code,
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
