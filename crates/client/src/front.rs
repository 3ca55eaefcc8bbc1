//! What prompts and tools run, over and over: `env`, `hook sync`, `credential-process`, where an agent has the answer
//! at hand. A small program of its own, since the start of a program is most of what it costs. All else, wrong usage
//! and what fails included, is for the whole client, which takes its place.

use std::ffi::OsString;

use crate::agent::Agent;
use crate::args::{Command, CredentialProcess, Env, Hook};
use crate::commands::env::Given;
use crate::commands::{credential_process, env, hook};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::shell::Shell;
use crate::{platform, programs};

/// Runs `mfa-agent` and returns its exit status, unless the whole client has taken its place.
pub fn front() -> u8 {
    platform::guard_standard_streams();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let done = match by_hand(&arguments).and_then(|command| answer(&command)) {
        Some(done) => done,
        None => Err(become_whole(&arguments)),
    };
    crate::status(done, &arguments)
}

/// Does what the arguments say; `None` where that takes the whole client, and nothing is done yet.
fn answer(command: &Command) -> Option<Result<(), Failure>> {
    let environment = Environment::read();
    match command {
        Command::Env(args) => {
            let shell = match args.shell {
                Some(shell) => shell,
                None => Shell::of_program(platform::parent_program().as_deref()).ok()?,
            };
            let script = if args.unset {
                env::unset(shell, &environment)
            } else {
                let profile = environment.profile(args.name.as_deref(), args.source.as_deref()).ok()?;
                let agent = Agent::locate(&environment).ok()?;
                let given = Given::Keys(env::at_hand(&agent, profile, &environment)?);
                env::script(shell, &given, &agent, &environment).ok()?
            };
            Some(env::print(shell, &script, args, None))
        }
        Command::CredentialProcess(args) => {
            let profile = credential_process::profile(args, None, &environment).ok()?;
            let agent = Agent::locate(&environment).ok()?;
            Some(credential_process::print(&env::at_hand(&agent, Some(profile), &environment)?))
        }
        Command::Hook(Hook::Sync { shell, command }) => Some(hook::sync(*shell, *command, &environment)),
        _ => None,
    }
}

/// Becomes the whole client. Returns only where that fails.
fn become_whole(arguments: &[OsString]) -> Failure {
    let program = match programs::beside(programs::COMPLETE) {
        Ok(program) => program,
        Err(error) => return programs::unknown_place(Exit::Failed, &error),
    };
    let error = platform::become_program(&program, arguments);
    match error.kind() {
        std::io::ErrorKind::NotFound => programs::missing(Exit::Failed, &program),
        _ => Failure::new(Exit::Failed, format!("cannot run {}: {error}", program.display())),
    }
}

/// The usual forms of what is asked over and over; `None` for all that is not plainly that.
fn by_hand(arguments: &[OsString]) -> Option<Command> {
    let mut words = arguments.iter().skip(1).map(|argument| argument.to_str());
    match words.next()?? {
        "env" => env_by_hand(words).map(Command::Env),
        "credential-process" => credential_process_by_hand(words).map(Command::CredentialProcess),
        "hook" if words.next()?? == "sync" => sync_by_hand(words).map(Command::Hook),
        _ => None,
    }
}

fn env_by_hand<'a>(mut words: impl Iterator<Item = Option<&'a str>>) -> Option<Env> {
    let mut env = Env::default();
    while let Some(word) = words.next() {
        match word? {
            "--no-prompt" if !env.no_prompt => env.no_prompt = true,
            "--unset" if !env.unset => env.unset = true,
            "--shell" if env.shell.is_none() => env.shell = Some(shell_by_hand(words.next()??)?),
            "--source" if env.source.is_none() => env.source = Some(profile_by_hand(words.next()??)?),
            name if env.name.is_none() => env.name = Some(profile_by_hand(name)?),
            _ => return None,
        }
    }
    let unset_alone = env.name.is_none() && env.source.is_none() && !env.no_prompt;
    (!env.unset || unset_alone).then_some(env)
}

fn credential_process_by_hand<'a>(
    mut words: impl Iterator<Item = Option<&'a str>>,
) -> Option<CredentialProcess> {
    let mut args = CredentialProcess { name: None, source: None, no_prompt: false };
    while let Some(word) = words.next() {
        match word? {
            "--source" if args.source.is_none() => args.source = Some(profile_by_hand(words.next()??)?),
            "--no-prompt" if !args.no_prompt => args.no_prompt = true,
            name if args.name.is_none() => args.name = Some(profile_by_hand(name)?),
            _ => return None,
        }
    }
    // Without a name it is wrong usage.
    args.name.is_some().then_some(args)
}

fn sync_by_hand<'a>(mut words: impl Iterator<Item = Option<&'a str>>) -> Option<Hook> {
    let (mut shell, mut command) = (None, false);
    while let Some(word) = words.next() {
        match word? {
            "--command" if !command => command = true,
            "--shell" if shell.is_none() => shell = Some(shell_by_hand(words.next()??)?),
            _ => return None,
        }
    }
    Some(Hook::Sync { shell: shell?, command })
}

fn shell_by_hand(name: &str) -> Option<Shell> {
    match name {
        "posix" => Some(Shell::Posix),
        "fish" => Some(Shell::Fish),
        _ => None,
    }
}

fn profile_by_hand(name: &str) -> Option<String> {
    (!name.is_empty() && !name.starts_with('-')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum};

    use super::*;
    use crate::args::{Color, Invocation};

    fn argv(line: &str) -> Vec<OsString> {
        ["mfa-agent"].into_iter().chain(line.split(' ')).map(|word| word.replace('∅', "").into()).collect()
    }

    #[test]
    fn what_is_matched_by_hand_means_the_same_to_clap() {
        let words = [
            "dev",
            "--no-prompt",
            "--shell",
            "posix",
            "fish",
            "bash",
            "∅",
            "-x",
            "--unset",
            "--source",
            "--command",
            "--",
            "-",
            "env",
        ];
        for (verb, least) in [("env", 50), ("credential-process", 10), ("hook sync", 6)] {
            let mut lines = vec![verb.to_owned()];
            let mut matched = 0;
            for length in 0..=4 {
                for line in &lines {
                    let argv = argv(line);
                    if let Some(command) = by_hand(&argv) {
                        matched += 1;
                        let invocation = Invocation::try_parse_from(&argv)
                            .unwrap_or_else(|error| panic!("only by hand: {line}: {error}"));
                        let expected = Invocation { command, profile: None, color: Color::Auto };
                        assert_eq!(invocation, expected, "{line}");
                    }
                }
                if length < 4 {
                    lines =
                        lines.iter().flat_map(|line| words.map(|word| format!("{line} {word}"))).collect();
                }
            }
            // Flags in every order, and `env` as a profile's name.
            assert!(matched >= least, "{verb}: {matched}");
        }
    }

    #[test]
    fn the_usual_forms_are_matched_by_hand() {
        for line in [
            "env",
            "env dev",
            "env dev --shell fish",
            "env --no-prompt --shell posix dev",
            "env --unset",
            "credential-process dev",
            "credential-process dev --no-prompt",
            "env arn:aws:iam::222222222222:role/ops --source dev",
            "credential-process arn:aws:iam::222222222222:role/ops --source dev",
            "hook sync --shell posix",
            "hook sync --shell fish --command",
        ] {
            assert!(by_hand(&argv(line)).is_some(), "{line}");
        }
        for line in ["login dev", "env --profile dev", "env --unset dev", "hook ask --shell posix", "hook"] {
            assert!(by_hand(&argv(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn a_shell_has_the_names_that_clap_knows() {
        for shell in Shell::value_variants() {
            for name in shell.to_possible_value().unwrap().get_name_and_aliases() {
                assert_eq!(Shell::named(name), Some(*shell), "{name}");
            }
        }
        assert_eq!(Shell::named("tcsh"), None);
    }
}
