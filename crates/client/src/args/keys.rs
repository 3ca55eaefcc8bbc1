//! `mfa-agent keys`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

/// `mfa-agent keys`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Keys {
    /// Put an access key into ~/.aws/credentials or the keyring: from the console's CSV file, or typed
    #[command(
        long_about = "Put an access key into ~/.aws/credentials or the keyring: from the console's CSV file, or typed.\n\nFILE is what the AWS console gives (accessKeys.csv, credentials.csv), or a section as it stands in a credentials file. Without FILE the key is asked for on the terminal, the secret unseen. All else in ~/.aws/credentials stays as it is.\n\nThe key goes to --profile, else the name of the section in FILE, else AWS_PROFILE, else default.\n\nWith --keyring its secret goes into the keyring of the desktop, and the file only says that it is there. Without FILE, a key that the profile has in the file is moved. The keyring's key is for mfa-agent alone: other tools get sessions from it, by env, exec or credential-process.",
        after_long_help = "Examples:\n  mfa-agent keys import --profile dev accessKeys.csv --remove-file\n  mfa-agent keys import --profile dev --keyring    from ~/.aws/credentials into the keyring\n  mfa-agent keys import --profile dev              asks for it\n  pass show aws/dev | mfa-agent keys import --profile dev -"
    )]
    Import(KeysImport),
    /// List the profiles that rest on a long-term key, and where it is
    #[command(
        long_about = "List the profiles that rest on a long-term key, and where it is.\n\n--used asks AWS how old each is, and when it was used last. That is told to a session: no code is asked for, and where none is held nothing is known under a policy that demands MFA."
    )]
    List {
        /// For programs
        #[arg(long)]
        json: bool,
        /// Ask AWS how old each key is, and when it was used last
        #[arg(long)]
        used: bool,
    },
    /// Put a new key in the place of a profile's, and delete the old one
    #[command(
        long_about = "Put a new key in the place of a profile's, and delete the old one, in the order that locks nobody out: the new key is made, seen to work, stored where the old one is (file or keyring) and seen to work from there; then the old one is disabled, and after another look deleted.\n\nWhere that broke off, wherever, the same command takes it up again. It asks for an MFA code where no session is held; sessions go on.",
        after_long_help = "Examples:\n  mfa-agent keys rotate dev\n  mfa-agent keys rotate dev --keep-old     the old key stays, inactive"
    )]
    Rotate(KeysRotate),
    /// Make a key inactive
    Disable(KeyId),
    /// Make a key active again
    Enable(KeyId),
    /// Delete a key
    Delete(KeyId),
}

/// `mfa-agent keys import`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct KeysImport {
    /// The console's CSV file or a section of a credentials file, or - for stdin; else it is asked for
    #[arg(value_name = "FILE|-")]
    pub file: Option<PathBuf>,
    /// Whose key, where FILE has several: a user's name, or a section's
    #[arg(long, value_name = "NAME", requires = "file", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// Into the keyring of the desktop, not into the file; without FILE from the file
    #[arg(long)]
    pub keyring: bool,
    /// Replace another key that the profile has
    #[arg(long)]
    pub force: bool,
    /// Delete FILE when the key is written
    #[arg(long, requires = "file")]
    pub remove_file: bool,
}

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
