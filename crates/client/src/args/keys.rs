//! `mfa-agent keys`: the arguments of what changes keys at AWS.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

/// `mfa-agent keys rotate`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct KeysRotate {
    /// The profile
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Leave the old key inactive, and do not delete it
    #[arg(long)]
    pub keep_old: bool,
}

/// `mfa-agent keys disable`, `enable` and `delete`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct KeyId {
    /// The key: its id, or the last four characters of it
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// Also where a profile rests on it, or something used it
    #[arg(long)]
    pub force: bool,
}
