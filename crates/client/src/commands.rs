//! One verb each.

mod agent;
mod aws_mfa;
mod completions;
mod console;
pub mod credential_process;
mod device;
mod doctor;
pub mod env;
mod exec;
pub mod hook;
mod init;
mod keys;
mod lock;
mod login;
mod logout;
mod man;
mod policy;
mod profiles;
mod setup;
mod status;
mod why;

use crate::args::{Command, Invocation};
use crate::environment::Environment;
use crate::failure::Failure;

/// Does what the arguments say.
pub fn run(invocation: &Invocation, environment: &Environment) -> Result<(), Failure> {
    let profile = invocation.profile.as_deref();
    match &invocation.command {
        Command::Env(args) => env::run(args, profile, environment),
        Command::Exec(args) => exec::run(args, profile, environment),
        Command::CredentialProcess(args) => credential_process::run(args, profile, environment),
        Command::Login(args) => login::run(args, profile, environment),
        Command::Logout(args) => logout::run(args, profile, environment),
        Command::Lock(args) => lock::lock(args, environment),
        Command::Unlock(args) => lock::unlock(args, profile, environment),
        Command::Status(args) => {
            let named = args.name.as_deref().or(profile);
            let profile = match (named, args.source.as_deref()) {
                (None, None) => None,
                (named, source) => environment.profile(named, source)?,
            };
            let profile = profile.as_deref();
            if args.watch {
                status::watch(profile, invocation.color, environment)
            } else {
                status::run(profile, args.json, invocation.color, environment)
            }
        }
        Command::Profiles(args) => profiles::run(args, profile, environment),
        Command::Console(args) => console::run(args, profile, environment),
        Command::Why(args) => why::run(args, profile, environment),
        Command::Keys(verb) => keys::run(verb, profile, environment),
        Command::Policy(verb) => policy::run(verb, profile, invocation.color, environment),
        Command::Setup(args) => setup::run(args, profile, invocation.color, environment),
        Command::Device(verb) => device::run(verb, profile, environment),
        Command::Doctor(args) => doctor::run(args, profile, invocation.color, environment),
        Command::AwsMfa(args) => aws_mfa::run(args, profile, environment),
        Command::Use(args) => hook::use_without_hook(args),
        Command::Init { shell } => init::run(*shell),
        Command::Completions { shell } => completions::run(*shell),
        Command::Man { folder } => man::run(folder),
        Command::Hook(args) => hook::run(args, profile, environment),
        Command::Agent(args) => agent::run(args, invocation.color, environment),
    }
}
