//! argv → what to do.
//!
//! What prompts run never comes here: `front.rs` matches its usual forms by hand.

mod agent;
mod aws_mfa;
mod device;
mod grant;
mod keys;
mod policy;
mod setup;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::Secret;

use crate::shell::Shell;

pub use agent::Agent;
pub use aws_mfa::{AwsMfa, LogLevel};
pub use device::{Device, DeviceAdd, DeviceNamed, DeviceRemove, DeviceSeed};
pub use grant::{Grant, Revoke};
pub use keys::{KeyId, Keys, KeysImport, KeysRotate};
pub use policy::{Partition, Policy, PolicyAttach, PolicyChange, PolicyText, Variant};
pub use setup::{OUTPUT_FORMATS, Setup};

const WHICH_PROFILE: &str =
    "The profile, or a role's ARN; else AWS_PROFILE, else this shell's own, else the configured default";

const SOURCE: &str = "The profile that a role's ARN is assumed from; by default as PROFILE";

/// What to do.
#[derive(Debug, PartialEq, Eq, Parser)]
#[command(
    name = "mfa-agent",
    version,
    about = "Holds AWS sessions with MFA, as ssh-agent holds keys",
    long_about = "Type an MFA code once: mfa-agentd holds the AWS session in memory, and every shell gets it from there.",
    after_long_help = "Examples:\n  eval \"$(mfa-agent env dev)\"       this shell uses profile dev (bash, zsh, dash)\n  mfa-agent env dev | source        the same in fish\n  mfa-agent exec dev -- aws s3 ls   one command uses it\n  mfa-agent login dev prod          get both sessions now\n  mfa-agent status                  what is held, and for how long\n  mfa-agent logout --all            forget everything",
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Invocation {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The profile, where no positional argument names one
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub profile: Option<String>,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_short_help = true)]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// One verb each.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Print shell code that sets a profile's credentials
    #[command(
        after_long_help = "Examples:\n  eval \"$(mfa-agent env dev)\"                                 bash, zsh, dash, ksh\n  mfa-agent env dev | source                                  fish\n  mfa-agent env dev | Out-String | Invoke-Expression          PowerShell\n  mfa-agent env dev | from json | load-env                    Nushell\n  eval (mfa-agent env dev | slurp)                            elvish\n  execx($(mfa-agent env dev))                                 xonsh\n  docker run --env-file <(mfa-agent env dev --shell dotenv) …\n  eval \"$(mfa-agent env --unset)\"\n\nWhere it fails, it prints `false` (PowerShell: throw, xonsh: raise), so that\neval \"$(mfa-agent env dev)\" && … runs no further; as dotenv and JSON it prints nothing."
    )]
    Env(Env),
    /// Choose this shell's profile, or none (with the hook of `init`)
    #[command(
        after_long_help = "Examples:\n  mfa-agent use dev\n  mfa-agent use                               chosen from a list\n  mfa-agent use arn:aws:iam::222222222222:role/ops --source dev\n  mfa-agent use --none"
    )]
    Use(Use),
    /// Run a command with a profile's credentials
    #[command(
        long_about = "Run a command with a profile's credentials.\n\nThe credentials are in the command's environment alone, with all that `env` sets; there is no shell and no process in between, so signals, terminal and exit status are the command's own. A shell that is started so, and has the hook, follows renewals. Inside of another `exec` the inner profile replaces the outer one.",
        after_help = "Exit status: the command's; 126 where it cannot be executed, 127 where there is none.",
        after_long_help = "Exit status: the command's; 126 where it cannot be executed, 127 where there is none;\nelse that of mfa-agent, as the command has not run.\n\nExamples:\n  mfa-agent exec dev -- aws s3 ls\n  mfa-agent exec dev --min-ttl 2h -- terraform apply\n  mfa-agent exec dev --live -- ./server       goes on across renewals\n  mfa-agent exec dev -- bash                  a shell with the credentials, as aws-vault has it\n  mfa-agent exec arn:aws:iam::222222222222:role/ops --source dev -- aws s3 ls"
    )]
    Exec(Exec),
    /// Print credentials as the SDKs' `credential_process` setting expects them
    #[command(
        after_long_help = "In ~/.aws/config, under a name of its own; tools then use AWS_PROFILE=dev-session:\n  [profile dev-session]\n  credential_process = /path/to/mfa-agent credential-process dev\n\nA code is asked for on the terminal, whatever the tool does with stdin and stderr. Where it fails, it prints nothing on stdout."
    )]
    CredentialProcess(CredentialProcess),
    /// Get or renew sessions
    #[command(
        after_long_help = "Examples:\n  mfa-agent login dev\n  mfa-agent login dev --duration 12h --force\n  oathtool --totp … | mfa-agent login dev --code -"
    )]
    Login(Login),
    /// Forget sessions
    Logout(Logout),
    /// Show the sessions that are held
    Status(Status),
    /// Give nothing out until `unlock`
    #[command(
        after_long_help = "What is held stays held; shells with the hook drop their credentials at the next prompt. What programs already have, AWS goes on taking until it expires."
    )]
    Lock(Lock),
    /// Give out again, after a code that AWS takes
    #[command(
        after_long_help = "The code is one of a device whose session is held. AWS checks it, so unlocking opens that session anew."
    )]
    Unlock(Unlock),
    /// List the profiles of the AWS config files, and which of them can work
    #[command(
        after_long_help = "Examples:\n  mfa-agent profiles\n  mfa-agent profiles --write-config dev ops\n\nThe latter writes [profile dev-session] with a credential_process that asks mfa-agent. Every tool that knows AWS's files then takes AWS_PROFILE=dev-session, or --profile dev-session."
    )]
    Profiles(Profiles),
    /// Sign in to the AWS console, in the browser
    #[command(
        long_about = "Sign in to the AWS console, in the browser.\n\nAWS makes a link of the credentials of the profile's role. A profile without a role gets one by GetFederationToken, which takes no MFA: a policy that denies everything without MFA denies that too. The console's session ends with the credentials.",
        after_long_help = "The browser is started by $BROWSER, else by xdg-open (macOS: open), with an address on this machine that works once.\n\nExamples:\n  mfa-agent console ops\n  mfa-agent console ops --service s3\n  mfa-agent console ops --print               the link, for a browser elsewhere"
    )]
    Console(Console),
    /// Show which credentials each kind of SDK would pick up in this shell
    #[command(
        long_about = "Show which credentials each kind of SDK would pick up in this very shell, from where and until when, what is in the way, and the line that mends it.\n\nThe kinds differ: the AWS CLI and boto3 read AWS_SECURITY_TOKEN first, the SDK for JavaScript passes over keys where AWS_PROFILE is set, and a container's endpoint is asked last.",
        after_long_help = "Examples:\n  mfa-agent why\n  mfa-agent why dev                           is it the session of dev?"
    )]
    Why(Why),
    /// Find what is wrong, and say the command that mends it
    #[command(
        long_about = "Find what is wrong, and say the command that mends it: the socket, the agent, the files, the profiles, the key, the MFA device and the policy as AWS has them, this shell's variables, the hook, the desktop.\n\nNothing is changed and no code is asked for. AWS is asked with the key alone, for five seconds at most, of the profile that is named, else of the shell's or the default one; --offline leaves that out. Where no agent runs, one is started to see whether it can, and ended again.",
        after_help = "Exit status: 1 where something is broken, 0 where nothing is or there are only doubts (!).",
        after_long_help = "Exit status: 1 where something is broken, 0 where nothing is or there are only doubts (!).\n\nExamples:\n  mfa-agent doctor\n  mfa-agent doctor dev                        does dev work?\n  mfa-agent doctor --json | jq '.checks[] | select(.state != \"ok\")'"
    )]
    Doctor(Doctor),
    /// The first hour, step by step: region, key, MFA device, session, policy, hook
    #[command(
        long_about = "Set a profile up: its region and output format, the key, the MFA device, a session, the policy that denies everything without MFA, and the hook of this shell.\n\nIt looks at what is there, shows it, and does what is missing; each step is what the command of its own does. It can be stopped anywhere and run again: what is done is not done twice.",
        after_long_help = "Examples:\n  mfa-agent setup dev\n  mfa-agent setup dev --dry-run                what is there, and what is missing\n  mfa-agent setup dev --yes --region eu-central-1 --output json --key accessKeys.csv"
    )]
    Setup(Setup),
    /// The MFA devices of the user behind a profile: list, add, remove them
    #[command(subcommand)]
    Device(Device),
    /// The IAM policy that denies everything without MFA: print, check, attach it
    #[command(subcommand)]
    Policy(Policy),
    /// Access keys: import, list, rotate, disable, delete them
    #[command(subcommand)]
    Keys(Keys),
    /// Write a session to ~/.aws/credentials, for tools that read nothing else; as broamski/aws-mfa does
    #[command(
        infer_long_args = true,
        long_about = "Write a session to ~/.aws/credentials, for tools that read nothing else; as broamski/aws-mfa does.\n\nThe long-term key is in [NAME-long-term], with aws_mfa_device and perhaps assume_role; the session goes to [NAME]. There it is on disk, in the clear: `env`, `exec` and `credential-process` need no file.",
        after_long_help = "Variables: MFA_DEVICE, MFA_STS_DURATION, MFA_ASSUME_ROLE, AWS_PROFILE. An option wins over them, and they win over the file.\n\nExamples:\n  mfa-agent aws-mfa --setup\n  mfa-agent aws-mfa --profile dev\n  mfa-agent aws-mfa --profile dev --short-term-suffix ops --assume-role arn:aws:iam::111122223333:role/ops"
    )]
    AwsMfa(AwsMfa),
    /// Print the hook that keeps a shell's credentials right
    #[command(
        after_long_help = "In the rc file of the shell:\n  eval \"$(mfa-agent init bash)\"        ~/.bashrc\n  eval \"$(mfa-agent init zsh)\"         ~/.zshrc\n  mfa-agent init fish | source          ~/.config/fish/config.fish"
    )]
    Init {
        /// The shell
        #[arg(value_enum)]
        shell: HookedShell,
    },
    /// Start, stop and look at the agent itself
    #[command(subcommand)]
    Agent(Agent),
    /// Print what completes the command line in a shell, for a package to install
    #[command(
        after_long_help = "The hook of `mfa-agent init` completes by itself.\n\nExamples:\n  mfa-agent completions bash > /usr/share/bash-completion/completions/mfa-agent\n  mfa-agent completions zsh > /usr/share/zsh/vendor-completions/_mfa-agent\n  mfa-agent completions fish > /usr/share/fish/vendor_completions.d/mfa-agent.fish"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual's pages, for a package to install
    Man {
        /// Where to: mfa-agent.1 and a page for each command
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// What the hook calls; not for people
    #[command(subcommand, hide = true)]
    Hook(Hook),
}

/// The shells that have a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HookedShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// `mfa-agent use`
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub struct Use {
    /// The profile, or a role's ARN; else it is chosen from a list
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = "The profile that a role's ARN is assumed from; else AWS_PROFILE, or what this shell has", value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// Set where programs fetch credentials, again and again, and not the credentials
    #[arg(long, conflicts_with = "none")]
    pub live: bool,
    /// Leave this shell without credentials
    #[arg(long, conflicts_with_all = ["name", "source"])]
    pub none: bool,
}

/// `mfa-agent hook`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Hook {
    /// Print what makes this shell right
    Sync {
        /// The shell to print for
        #[arg(long, value_parser = hooked)]
        shell: Shell,
        /// A command is about to run: nobody can be asked
        #[arg(long)]
        command: bool,
    },
    /// Ask for a code, and print what sets the credentials
    Ask {
        /// The shell to print for
        #[arg(long, value_parser = hooked)]
        shell: Shell,
    },
    /// Print what `use` does to this shell
    Use {
        /// The shell to print for
        #[arg(long, value_parser = hooked)]
        shell: Shell,
        /// What for
        #[command(flatten)]
        args: Use,
    },
    /// Print the names of the profiles, for completion
    Profiles,
    /// Print the names of AWS's regions, for completion
    Regions,
}

/// `mfa-agent env`
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub struct Env {
    /// The profile.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// The shell to print for; else the one that runs this
    #[arg(long, value_enum)]
    pub shell: Option<Shell>,
    /// Never ask for a code
    #[arg(long)]
    pub no_prompt: bool,
    /// The code, if one is needed
    #[command(flatten)]
    pub code: Code,
    /// Set where programs fetch credentials, again and again, and not the credentials
    #[arg(long)]
    pub live: bool,
    /// Print what removes everything that `env` sets
    #[arg(long, conflicts_with_all = ["name", "source", "no_prompt", "live", "code", "duration"])]
    pub unset: bool,
}

/// `mfa-agent exec`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Exec {
    /// The profile.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// Renew first where less than this is left, e.g. 2h
    #[arg(long, value_name = "D", value_parser = time_to_live)]
    pub min_ttl: Option<u32>,
    /// Never ask for a code
    #[arg(long)]
    pub no_prompt: bool,
    /// The code, if one is needed
    #[command(flatten)]
    pub code: Code,
    /// Let the command fetch credentials, again and again until it ends
    #[arg(long)]
    pub live: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `mfa-agent credential-process`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct CredentialProcess {
    /// The profile whose session to give out, or a role's ARN
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = "The profile that a role's ARN is assumed from", value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// Never ask for a code
    #[arg(long)]
    pub no_prompt: bool,
}

/// A code that is given instead of asked for.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub struct Code {
    /// The MFA code if one is needed, or - for a line of stdin
    #[arg(long, value_name = "CODE|-", allow_hyphen_values = true, value_parser = secret)]
    pub code: Option<Secret>,
    /// How long a new session shall last, 15m to 36h
    #[arg(long, value_name = "D", value_parser = duration)]
    pub duration: Option<u32>,
}

/// `mfa-agent login`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Login {
    /// The profiles.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// The code, if one is needed
    #[command(flatten)]
    pub code: Code,
    /// Open a new session even if one is held
    #[arg(long)]
    pub force: bool,
}

/// `mfa-agent logout`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Logout {
    /// The profiles.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// Every session
    #[arg(long, conflicts_with_all = ["names", "source"])]
    pub all: bool,
    /// Not the sessions: live access to them, that of these numbers (see `status`) or all
    #[arg(long, value_name = "NUMBER", num_args = 0.., conflicts_with_all = ["names", "all", "source"])]
    pub live: Option<Vec<u64>>,
}

/// `mfa-agent lock`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Lock {
    /// Forget every session instead: nothing is left to unlock
    #[arg(long)]
    pub wipe: bool,
}

/// `mfa-agent unlock`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Unlock {
    /// A profile whose session is held; else the one used last
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// The code
    #[command(flatten)]
    pub code: Code,
}

/// `mfa-agent status`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Status {
    /// Only the sessions of this profile; exit 3 where there is none
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// Show it anew every second, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

/// `mfa-agent profiles`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Profiles {
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// Add to ~/.aws/config what makes AWS's tools ask mfa-agent for these profiles, or for all
    #[arg(long, value_name = "PROFILE", num_args = 0.., conflicts_with = "json", value_parser = NonEmptyStringValueParser::new())]
    pub write_config: Option<Vec<String>>,
    /// Do not ask before writing
    #[arg(long, requires = "write_config")]
    pub yes: bool,
}

/// `mfa-agent console`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Console {
    /// The profile.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// The page of this service, as the console's addresses name it, e.g. s3
    #[arg(long, value_name = "S", value_parser = service)]
    pub service: Option<String>,
    /// Print the link, and start no browser
    #[arg(long)]
    pub print: bool,
}

/// `mfa-agent why`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Why {
    /// The profile whose session it should be.
    #[arg(help = WHICH_PROFILE, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What a role's ARN is assumed from.
    #[arg(long, value_name = "PROFILE", help = SOURCE, value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
}

/// `mfa-agent doctor`
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Doctor {
    /// This profile and no other must work; else those that this shell uses
    #[arg(value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// Do not ask AWS of the key, the device and the policy
    #[arg(long)]
    pub offline: bool,
}

/// What the arguments (the program's name first) say.
pub fn parse(arguments: &[OsString]) -> Result<Invocation, clap::Error> {
    Invocation::try_parse_from(arguments)
}

/// A syntax that there is a hook in.
fn hooked(text: &str) -> Result<Shell, &'static str> {
    match text {
        "posix" => Ok(Shell::Posix),
        "fish" => Ok(Shell::Fish),
        _ => Err("posix or fish"),
    }
}

/// Takes whatever comes: clap would quote a code that it refuses.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a parser that could fail")]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Seconds, as a number or a span. What AWS takes depends on what is asked for.
fn seconds(text: &str) -> Result<u32, String> {
    protocol::duration::parse(text).ok_or_else(|| "a number of seconds, or e.g. 12h, 45m".to_owned())
}

/// Seconds of `12h`, `45m`, `1h30m`, `900`, `900s`, within what STS takes.
fn duration(text: &str) -> Result<u32, String> {
    let bounds = protocol::SESSION_SECONDS;
    protocol::duration::parse(text).filter(|seconds| bounds.contains(seconds)).ok_or_else(|| {
        format!("{} to {} seconds (15m to 36h), e.g. 12h, 45m, 1h30m, 900", bounds.start(), bounds.end())
    })
}

/// A service as it stands in an address.
fn service(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_service = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    is_service.then(|| text.to_owned()).ok_or("small letters, digits and hyphens, e.g. s3, ec2")
}

/// Seconds of a span that a session can last.
fn time_to_live(text: &str) -> Result<u32, String> {
    let most = *protocol::SESSION_SECONDS.end();
    protocol::duration::parse(text)
        .filter(|seconds| (1..=most).contains(seconds))
        .ok_or_else(|| "up to 36h, e.g. 2h, 45m, 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("12h", 43_200),
            ("45m", 2_700),
            ("1h30m", 5_400),
            ("900", 900),
            ("900s", 900),
            ("36h", 129_600),
            ("1h1m1s", 3_661),
        ] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "899",
            "129601",
            "37h",
            "14m59s",
            "h",
            "12",
            "1m1h",
            "1h1h",
            "12h ",
            "-1h",
            "1.5h",
            "99999999999h",
            "m30",
            "12hx",
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.starts_with("900 to 129600 seconds (15m to 36h)"), "{text}: {message}");
        }
    }

    #[test]
    fn claps_own_checks_hold() {
        use clap::CommandFactory;
        Invocation::command().debug_assert();
    }
}
