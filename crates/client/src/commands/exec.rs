//! `mfa-agent exec`: becomes a command that has the credentials in its environment, and nobody else has them.

use std::process::Command;

use super::env::{self, Access};
use crate::agent::Agent;
use crate::args::Exec;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::mfa::Asker;
use crate::{platform, span};

pub fn run(args: &Exec, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    if let (Some(lasts), Some(wanted)) = (args.code.duration, args.min_ttl)
        && lasts < wanted
    {
        let (lasts, wanted) = (span::of(lasts), span::of(wanted));
        return Err(Failure::new(
            Exit::Usage,
            format!("a session of --duration {lasts} does not last the {wanted} of --min-ttl"),
        )
        .hint(format!("--duration {wanted}, or more")));
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(
            Failure::new(Exit::Usage, "no command is named").hint("mfa-agent exec PROFILE -- COMMAND")
        );
    };
    let profile = environment.profile(args.name.as_deref().or(option), args.source.as_deref())?;
    let agent = Agent::locate(environment)?;
    let asker = Asker::new(&agent, &args.code, args.no_prompt)?;
    let access = if args.live { Access::Live { own: true } } else { Access::Keys };
    let given = env::obtain_access(asker, profile.as_deref(), environment, access, args.min_ttl)?;
    let mut command = Command::new(program);
    command.args(arguments);
    env::changes(&given, &agent, environment, |name, value| {
        match value {
            Some(value) => command.env(name, platform::text(value)),
            None => command.env_remove(name),
        };
    })?;
    let error = platform::become_command(command);
    let name = program.display();
    Err(match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(Exit::NotFound, format!("there is no program {name}"))
            .hint("it must be in PATH, or a path; for an alias or a function: exec … -- SHELL -ic COMMAND"),
        _ => Failure::new(Exit::NotExecutable, format!("cannot run {name}: {error}"))
            .hint("it must be a file that you may execute: ls -l"),
    })
}
