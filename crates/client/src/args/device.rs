//! `mfa-agent device`

use clap::Subcommand;

/// `mfa-agent device`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Device {
    /// List the user's MFA devices
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
}
