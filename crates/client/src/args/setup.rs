//! `mfa-agent setup`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

/// The output formats of the AWS CLI, both of its versions.
pub const OUTPUT_FORMATS: [&str; 6] = ["json", "yaml", "yaml-stream", "text", "table", "off"];

/// `mfa-agent setup`
#[derive(Debug, Default, PartialEq, Eq, Args)]
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
}
