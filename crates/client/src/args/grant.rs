//! `mfa-agent agent grant` and `mfa-agent agent revoke`.

use super::SOURCE;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use protocol::GRANT_SECONDS;

/// `mfa-agent agent grant`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Grant {
    /// A profile that the socket gives out; the first counts where none is named there
    #[arg(value_name = "PROFILE", required_unless_present = "profile", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// The same, any number of times
    #[arg(long = "profile", id = "profile", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub more: Vec<String>,
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// When the socket ends by itself, e.g. 8h
    #[arg(long, value_name = "D", default_value = "12h", value_parser = expires)]
    pub expires: u32,
}

/// `mfa-agent agent revoke`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Revoke {
    /// Their numbers, as `status` shows them
    #[arg(value_name = "NUMBER", required_unless_present = "all")]
    pub numbers: Vec<u64>,
    /// All of them
    #[arg(long, conflicts_with = "numbers")]
    pub all: bool,
}

/// Seconds of a span that a grant can last.
fn expires(text: &str) -> Result<u32, String> {
    protocol::duration::parse(text)
        .filter(|seconds| GRANT_SECONDS.contains(seconds))
        .ok_or_else(|| "1m to 720h, e.g. 8h, 45m, 1h30m".to_owned())
}
