//! `cargo demo`: the main job for real, on an embedded AWS and in a throw-away home. With `--check` it runs by
//! itself and says what it saw.
#![expect(clippy::print_stdout, reason = "a program for people, which no shell evaluates")]

mod check;
mod identity;
mod stage;

use std::error::Error;
use std::process::{Command, ExitCode};

use stage::Stage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Stage::set().and_then(|stage| visit(&stage)),
        ["caller-identity"] => identity::print(),
        ["--check"] => Stage::set().and_then(|stage| check::run(&stage)),
        _ => Err("usage: cargo demo [-- --check]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens the person's own shell on the stage.
fn visit(stage: &Stage) -> Result<(), Box<dyn Error>> {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let eval =
        if shell.ends_with("fish") { "mfa-agent env dev | source" } else { "eval \"$(mfa-agent env dev)\"" };
    println!(
        "
An AWS account that is not one: a user with an MFA device, and a policy that
denies everything without MFA. Everything is in {home}
and gone when you leave this shell.

  code                  prints the code that the device shows now
  {eval}
  {identity}
  mfa-agent status
  exit
",
        home = stage.home().display(),
        identity = if stage.has_aws_cli() { "aws sts get-caller-identity" } else { "caller-identity" },
    );
    // The shell's own exit status says nothing about the demo.
    let status =
        Command::new(&shell).env_clear().envs(stage.environment()).current_dir(stage.home()).status();
    status.map(drop).map_err(|error| format!("cannot run {shell}: {error}").into())
}
