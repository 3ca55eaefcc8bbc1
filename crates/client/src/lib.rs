//! What the person runs: arguments in, lines for the shell out. Blocking and small, since prompts wait for it.
//! Two programs are made of it: [`front()`] and [`main()`].
//! It opens no network connection; the agent does. It touches AWS's files where a person asked for a change of them.

mod access_key;
mod agent;
mod args;
mod aws_file;
mod clock;
mod commands;
mod difference;
mod environment;
mod evaluated;
mod failure;
mod front;
#[cfg(all(unix, any(test, fuzzing)))]
pub mod fuzzing;
mod iam;
mod interview;
mod key_text;
mod keyring;
mod message;
mod mfa;
mod output;
mod picker;
mod platform;
mod programs;
mod prompt;
mod qr;
mod regions;
mod shell;
mod span;
mod table;

use std::ffi::OsString;

use crate::environment::Environment;
use crate::failure::{Exit, Failure};

pub use crate::front::front;

/// Runs `mfa-agent-cli`, all that `mfa-agent` can do, and returns its exit status.
pub fn main() -> u8 {
    platform::guard_standard_streams();
    // The agent's log, its dialogs and `ps` show it by the name that people typed.
    platform::set_name(programs::FRONT);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let done = match args::parse(&arguments) {
        Ok(invocation) => commands::run(&invocation, &Environment::read()),
        Err(error) if error.use_stderr() => {
            platform::write_stderr(error.render().to_string().as_bytes());
            Err(Failure::new(Exit::Usage, String::new()))
        }
        // Help and version are what was asked for.
        Err(error) => return output::data(error.render().to_string().as_bytes()).map_or(1, |()| 0),
    };
    status(done, &arguments)
}

/// The exit status of what was done. The one place where a failure becomes words.
fn status(done: Result<(), Failure>, arguments: &[OsString]) -> u8 {
    match done {
        Ok(()) => Exit::Done as u8,
        Err(failure) => {
            if evaluated::is_evaluated(arguments) {
                // `eval "$(…)"` loses our exit status; this gives it back.
                let _ = output::data(evaluated::shell(arguments).fails());
            }
            output::failure(&failure);
            failure.exit as u8
        }
    }
}
