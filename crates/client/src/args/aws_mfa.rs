//! `mfa-agent aws-mfa`: broamski/aws-mfa's options.

use clap::{Args, ValueEnum};
use protocol::Secret;

use super::{seconds, secret};

/// `mfa-agent aws-mfa`
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "sections of AWS's files are in brackets, and this is the help's text"
)]
pub struct AwsMfa {
    /// The MFA device.
    #[arg(
        long,
        value_name = "ARN",
        help = "The MFA device; else MFA_DEVICE, else aws_mfa_device, else the user's only one"
    )]
    pub device: Option<String>,
    /// How long the session shall last, in seconds or as 12h
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<u32>,
    /// The key is in [NAME-S], with none in [NAME]; else in [NAME-long-term]
    #[arg(long, visible_alias = "long-suffix", value_name = "S")]
    pub long_term_suffix: Option<String>,
    /// The session goes to [NAME-S]; else, and with none, to [NAME]
    #[arg(long, visible_alias = "short-suffix", value_name = "S")]
    pub short_term_suffix: Option<String>,
    /// The role to assume.
    #[arg(
        long,
        visible_alias = "assume",
        value_name = "ARN",
        help = "The role to assume; else MFA_ASSUME_ROLE, else assume_role of the file"
    )]
    pub assume_role: Option<String>,
    /// The name of the role's session; else the user's
    #[arg(long, value_name = "NAME")]
    pub role_session_name: Option<String>,
    /// Get a new session even if the one there is still valid
    #[arg(long)]
    pub force: bool,
    /// What is told on stderr; errors always are
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t, hide_possible_values = true)]
    pub log_level: LogLevel,
    /// Ask for a long-term key, and write its section
    #[arg(long)]
    pub setup: bool,
    /// The MFA code, or - for a line of stdin
    #[arg(long, visible_alias = "mfa-token", value_name = "CODE|-", allow_hyphen_values = true, value_parser = secret)]
    pub token: Option<Secret>,
}

/// The names that Python gives to them. In order: who wants one also wants those after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum LogLevel {
    /// Everything
    Notset,
    /// Everything
    #[default]
    Debug,
    /// What is done
    Info,
    /// What is not as it should be
    Warning,
    /// Errors alone
    Error,
    /// Errors alone
    Critical,
}
