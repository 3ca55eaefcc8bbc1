//! `mfa-agent device`

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

/// `mfa-agent device`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Device {
    /// List the user's MFA devices
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Make an authenticator app an MFA device: show the QR code, take two codes, enable it
    #[command(
        long_about = "Make an authenticator app an MFA device: show the QR code, take two codes, enable it, and write mfa_serial into ~/.aws/config.\n\nThe QR code is shown on the terminal's second screen, which keeps nothing; s shows the key as text. What is there already is left as it is, so it can be run again.",
        after_long_help = "Examples:\n  mfa-agent device add --profile dev\n  mfa-agent device add --profile dev --name alice-tablet     another one"
    )]
    Add(DeviceAdd),
    /// Enable a hardware token, or an app's device that was made and never enabled
    #[command(
        after_long_help = "Examples:\n  mfa-agent device activate GAHT12345678 --profile dev\n  mfa-agent device activate alice --profile dev"
    )]
    Activate(DeviceNamed),
    /// Tell AWS how far the clock of a device is off, by two of its codes
    Resync(DeviceNamed),
    /// Take a device from the user, and delete it
    #[command(
        after_long_help = "It is signed by a session, as policies demand; --long-term signs with the key alone, where the device is lost and the policy lets it.\n\nExamples:\n  mfa-agent device remove alice-tablet --profile dev"
    )]
    Remove(DeviceRemove),
    /// Let the agent make the codes: put the device's seed into the keyring
    #[command(
        long_about = "Let the agent make the codes: put the device's seed into the keyring, and mfa_agent_keyring_seed into the profile.\n\nThe second factor is then on this machine, beside the first: whoever can open your keyring can make codes.\n\nThe seed is base32 or an otpauth://totp/ line, typed unseen, or a line of stdin.",
        after_long_help = "Examples:\n  mfa-agent device seed --profile dev\n  mfa-agent device seed --profile dev --forget"
    )]
    Seed(DeviceSeed),
}

/// `mfa-agent device add`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DeviceAdd {
    /// Its name, unique in the account; else the user's
    #[arg(long, value_name = "NAME", value_parser = device_name)]
    pub name: Option<String>,
    /// Make anew what was made and never enabled, without asking
    #[arg(long)]
    pub yes: bool,
    /// For programs: print the otpauth:// line to stdout, and take two codes from stdin, a line each
    #[arg(long)]
    pub stdin: bool,
}

/// `mfa-agent device activate`, `resync`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DeviceNamed {
    /// The device: its name, ARN or serial number
    #[arg(value_name = "DEVICE", value_parser = NonEmptyStringValueParser::new())]
    pub device: String,
    /// Take the two codes from stdin, a line each
    #[arg(long)]
    pub stdin: bool,
}

/// `mfa-agent device seed`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DeviceSeed {
    /// Take it from a line of stdin
    #[arg(long)]
    pub stdin: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Take it out of the keyring, and ask for codes again
    #[arg(long, conflicts_with_all = ["stdin", "yes"])]
    pub forget: bool,
}

/// `mfa-agent device remove`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DeviceRemove {
    /// The device: its name, ARN or serial number
    #[arg(value_name = "DEVICE", value_parser = NonEmptyStringValueParser::new())]
    pub device: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Sign with the long-term key alone
    #[arg(long)]
    pub long_term: bool,
}

/// A name that IAM takes.
fn device_name(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let fits = (1..=226).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned()).ok_or("letters, digits or any of _+=,.@-")
}
