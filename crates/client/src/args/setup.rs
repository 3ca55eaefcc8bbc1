//! `mfa-agent setup`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::Code;

/// The output formats of the AWS CLI, both of its versions.
pub const OUTPUT_FORMATS: [&str; 6] = ["json", "yaml", "yaml-stream", "text", "table", "off"];

/// `mfa-agent setup`
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Setup {
    /// The profile; else `AWS_PROFILE`, else default
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Its region, e.g. eu-central-1
    #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
    pub region: Option<String>,
    /// What the AWS CLI prints
    #[arg(long, value_name = "FORMAT", value_parser = OUTPUT_FORMATS)]
    pub output: Option<String>,
    /// Set region and output format alone, as `aws configure` does
    #[arg(long, conflicts_with_all = ["key", "keyring", "no_policy", "dry_run", "code"])]
    pub settings: bool,
    /// The console's CSV file with the key, or - for stdin
    #[arg(long, value_name = "FILE|-")]
    pub key: Option<PathBuf>,
    /// The key goes into the operating system's keyring, also one that is in the file; else that is asked where it can be
    #[arg(long)]
    pub keyring: bool,
    /// Leave the policy to others
    #[arg(long)]
    pub no_policy: bool,
    /// Show what is there, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Ask for nothing but codes
    #[arg(long)]
    pub yes: bool,
    /// The code of the session, if one is needed
    #[command(flatten)]
    pub code: Code,
}
