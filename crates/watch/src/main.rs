//! `watch [--all] COMMAND [ARGUMENT…]`: runs the tests, and watches them for secrets.
//!
//! Every secret that the tests' AWS makes up becomes known here before anybody has it (`aws_simulator::make_known`).
//! None of them may be in the arguments of a program, in the environment of the agent or of what it starts, or in a file
//! that one of our programs writes; what may have them is in `rules.rs`. A leak is named, and fails the run.
//!
//! Linux alone tells of every program before it runs and of every file when it is closed (fanotify), and root alone is
//! told. Elsewhere the command runs unwatched, and that is said; with `CI` set it is a failure.

#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod rules;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod secrets;
#[cfg(target_os = "linux")]
mod self_test;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let all = arguments.first().is_some_and(|argument| argument == "--all");
    if all {
        arguments.remove(0);
    }
    let Some((program, arguments)) = arguments.split_first() else {
        say("usage: watch [--all] COMMAND [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    match watched(&mut command, all) {
        Ok(status) => status,
        Err(why) if std::env::var_os("CI").is_none() => {
            say(&format!("nobody watches these tests for secrets: {why}"));
            let error = command.exec();
            say(&format!("cannot run {}: {error}", program.display()));
            ExitCode::from(127)
        }
        Err(why) => {
            say(&format!("cannot watch these tests for secrets, which CI does: {why}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn watched(command: &mut Command, all: bool) -> Result<ExitCode, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("only root can".to_owned());
    }
    run::watched(command, all)
}

#[cfg(not(target_os = "linux"))]
fn watched(_: &mut Command, _: bool) -> Result<ExitCode, String> {
    Err("only Linux can".to_owned())
}

/// A line on stderr.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "watch: {words}");
}
